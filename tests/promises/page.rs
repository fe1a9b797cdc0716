//! The live page in a real browser.

use std::path::{Path, PathBuf};

use serde_json::Value;
use weir_testkit::{Browser, Endpoint, Raw, Reply, Weir, eventually, require};

use crate::support::{Setup, get};

/// The program that drives a browser, if there is one.
fn driver() -> Option<PathBuf> {
    require("chromium").and(require("chromedriver"))
}

/// A weir, and a browser that shows its page with so many endpoints.
fn shown(program: &Path, width: u32, setup: &Setup, endpoints: usize) -> (Weir, Browser) {
    let weir = setup.start();
    let browser = Browser::start(program, width, 800);
    browser.open(&format!("http://{}/", weir.admin()));
    becomes(&browser, "document.querySelectorAll('tbody tr').length", endpoints);
    (weir, browser)
}

/// Waits until the expression has this value.
fn becomes(browser: &Browser, expression: &str, value: impl Into<Value>) {
    let value = value.into();
    eventually(expression, || browser.run(&format!("return {expression}")) == value);
}

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const TAB: &str = "\u{e004}";
/// The question that is asked before a change.
const ASKED: &str = "document.getElementById('confirm').open";
/// Rows that can be seen.
const VISIBLE: &str = "[...document.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).length";

/// The words in the row of this endpoint.
fn row(browser: &Browser, endpoint: &Endpoint) -> String {
    let script = format!(
        "return [...document.querySelectorAll('tbody tr')].find(row => row.innerText.includes('{}')).innerText",
        endpoint.address()
    );
    browser.run(&script).as_str().unwrap().to_owned()
}

#[test]
fn an_endpoint_that_breaks_is_seen_on_the_page_with_the_reason() {
    let Some(program) = driver() else { return };
    let good = Endpoint::replying(Reply::new(200).body("good"));
    let mut bad = Endpoint::replying(Reply::new(200).body("bad"));
    let (weir, browser) = shown(&program, 1280, &Setup::before(&[&good, &bad]), 2);
    assert!(row(&browser, &bad).contains("healthy"));
    bad.stop();
    eventually("the ejection is shown", || {
        assert_eq!(Raw::ask(weir.address(), get("/")).status, 200, "the other one serves");
        row(&browser, &bad).contains("ejected")
    });
    becomes(&browser, "document.getElementById('changes').innerText.includes('is ejected: exchange')", true);
    assert!(row(&browser, &good).contains("healthy"));
    becomes(&browser, "document.querySelector('.service .badge').innerText", "1 of 2 serve");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn an_endpoint_is_drained_from_the_keyboard_once_that_was_confirmed() {
    let Some(program) = driver() else { return };
    let first = Endpoint::replying(Reply::new(200).body("first"));
    let second = Endpoint::replying(Reply::new(200).body("second"));
    let (weir, browser) = shown(&program, 1280, &Setup::before(&[&first, &second]), 2);
    let press_drain = || {
        browser.run("document.querySelector('tbody button').focus()");
        browser.press(ENTER);
        becomes(&browser, ASKED, true);
    };
    press_drain();
    browser.press(ESCAPE);
    becomes(&browser, ASKED, false);
    press_drain();
    // The first choice is to leave it.
    browser.press(ENTER);
    becomes(&browser, ASKED, false);
    assert!(row(&browser, &first).contains("healthy"), "nothing was done");
    press_drain();
    browser.press(TAB);
    browser.press(ENTER);
    eventually("it is drained", || row(&browser, &first).contains("drained"));
    for _ in 0..4 {
        assert_eq!(Raw::ask(weir.address(), get("/")).status, 200);
    }
    assert_eq!((first.requests().len(), second.requests().len()), (0, 4));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn on_a_phone_one_of_a_thousand_endpoints_is_found_by_typing() {
    let Some(program) = driver() else { return };
    let list: Vec<_> = (0..1000).map(|n| format!("\"127.0.{}.{}:9\"", n / 250 + 1, n % 250 + 1)).collect();
    let setup = Setup::of(&[]).endpoints(&list.join(", "));
    let (_weir, browser) = shown(&program, 360, &setup, 1000);
    becomes(&browser, "document.documentElement.scrollWidth <= innerWidth", true);
    becomes(&browser, VISIBLE, 1000);
    browser.press("/");
    for key in "127.0.3.77:".chars() {
        browser.press(&key.to_string());
    }
    becomes(&browser, VISIBLE, 1);
    becomes(&browser, "document.documentElement.scrollWidth <= innerWidth", true);
    assert_eq!(browser.console(), Vec::<String>::new());
}
