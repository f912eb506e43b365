"""etcd v3 as Mooring uses it: a key-value store with leases, guarded transactions and a listing that can be followed."""
