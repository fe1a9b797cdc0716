//! Scripted endpoints, raw clients and real servers for tests.
