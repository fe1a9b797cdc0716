//! A real browser without a window, driven over `WebDriver` (W3C Recommendation) through `chromedriver`.
//!
//! In: a page's address and scripts. Out: what the scripts give, and what the page complained of.
//! The browser and its driver end with the value; the driver runs in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::deadline::PATIENCE;
use crate::process::Process;
use crate::raw::Raw;

/// A running browser with one page.
pub struct Browser {
    driver: SocketAddr,
    session: String,
    _process: Process,
}

impl Browser {
    /// Starts the browser by `program`, a `chromedriver`, with a window of this many pixels.
    pub fn start(program: &Path, width: u32, height: u32) -> Self {
        let mut process = Process::start(program, ["--port=0"]);
        let started = process.wait_for_line("ChromeDriver was started successfully on port ");
        let port: u16 = started.trim_end_matches('.').parse().unwrap();
        let driver = SocketAddr::from(([127, 0, 0, 1], port));
        // No sandbox: tests may run as root, and the page is our own. Less than 500 pixels wide there is no window.
        let mut options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", format!("--window-size={width},{height}")]
        });
        if width < 500 {
            options["mobileEmulation"] = json!({"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}});
        }
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let session = call(driver, "POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        let session = session["sessionId"].as_str().unwrap().to_owned();
        Self { driver, session, _process: process }
    }

    /// Loads a page.
    pub fn open(&self, url: &str) {
        self.call("POST", "url", &json!({ "url": url }));
    }

    /// What `script`, the body of a function, returns.
    pub fn run(&self, script: &str) -> Value {
        self.call("POST", "execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Presses the key, by its `WebDriver` code point or letter, wherever the focus is.
    pub fn press(&self, key: &str) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.call("POST", "actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }));
    }

    /// What a command of the browser's `DevTools` protocol gives.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.call("POST", "goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the page has written to its console since the last question, faults of loading among them.
    pub fn console(&self) -> Vec<String> {
        let log = self.call("POST", "se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        call(self.driver, method, &format!("/session/{}/{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver is killed afterwards. In a test that fails already nothing may panic.
        let request = format!("DELETE /session/{} HTTP/1.1\r\nHost: {}\r\n\r\n", self.session, self.driver);
        if let Ok(mut driver) = Raw::try_connect(self.driver, PATIENCE) {
            drop(driver.try_write(request));
            drop(driver.try_response("DELETE"));
        }
    }
}

/// The value of the driver's answer; panics on an error with what it says.
fn call(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Length: {length}\r\n");
    // Longer than usual: to start a browser on a busy machine takes its time.
    let mut driver = Raw::connect_within(driver, PATIENCE * 4);
    let answer = driver.write(format!("{head}Content-Type: application/json\r\n\r\n{body}")).response();
    let text = answer.text();
    let mut answer: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"));
    let value = answer["value"].take();
    assert!(value["error"].is_null(), "{method} {path}: {value}");
    value
}
