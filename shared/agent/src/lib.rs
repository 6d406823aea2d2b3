//! The loop, the trait and the fsynced ledger that the three agents share.
