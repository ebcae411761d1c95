//! Make a root file system from the programs of this machine.
