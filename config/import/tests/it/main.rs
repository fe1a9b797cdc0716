#![expect(clippy::unwrap_used, reason = "functions that tests share may fail the test")]
