"""Lets the library etcd3 run on a current protobuf, and is the only place that imports it.

etcd3 0.12.0 brings message classes that protobuf refuses to load since its version 4. Before it is imported, classes
made from the same descriptors (`etcd.fds`: kv.proto, auth.proto and rpc.proto, as that version was generated from
them) are put where it looks for its own. They live in a descriptor pool of their own: another library of this process
may know other files of these names.
"""

from __future__ import annotations

import sys
from importlib import import_module, resources
from types import ModuleType
from typing import Any, TypeAlias

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# Classes that are made at run time are unknown to a type checker: a request, an answer, or the library that has them.
Message: TypeAlias = Any


def _install() -> None:
    """Put our message classes where etcd3 looks for its own.

    Raises:
        ImportError: somebody imported etcd3 before; it then holds classes that we cannot exchange any more.
    """
    if "etcd3" in sys.modules:
        raise ImportError("etcd3 was imported before mooring.etcd; import mooring.etcd.client first")
    descriptors = FileDescriptorSet.FromString((resources.files("mooring.etcd") / "etcd.fds").read_bytes())
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.AddSerializedFile(file.SerializeToString())
        module = _module_of(pool.FindFileByName(file.name))
        sys.modules[module.__name__] = module


def _module_of(file: FileDescriptor) -> ModuleType:
    """Return what protobuf's compiler would have written: a module of message classes and of enumerations' values."""
    module = ModuleType("etcd3.etcdrpc." + file.name.replace(".proto", "_pb2"))
    names: dict[str, Any] = {name: GetMessageClass(kind) for name, kind in file.message_types_by_name.items()}
    for enumeration in file.enum_types_by_name.values():
        names |= {value.name: value.number for value in enumeration.values}
    for name, value in {"DESCRIPTOR": file, **names}.items():
        setattr(module, name, value)
    return module


_install()
etcd3: Message = import_module("etcd3")
rpc: Message = import_module("etcd3.etcdrpc")
