"""etcd v3 as Mooring uses it: a store with leases, guarded transactions and listings that can be followed."""
