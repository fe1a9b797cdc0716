//! What an experiment is made of: proxies under test, the load, the endpoint, and the clocks that are read.

pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod endpoint;
pub(crate) mod head;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod plain;
pub(crate) mod proxy;
