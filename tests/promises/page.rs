//! The live page in a real browser.

use std::path::{Path, PathBuf};

use serde_json::Value;
use weir_testkit::{Browser, Endpoint, Raw, Reply, Weir, eventually, free_port, require};

use crate::support::{Setup, WEIR, get};

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

/// Opens the page of a weir with this configuration; waits for nothing.
fn opened(program: &Path, toml: &str, host: &str) -> (Weir, Browser) {
    let weir = Weir::start(WEIR, toml);
    let browser = Browser::start(program, 1280, 800);
    browser.open(&format!("http://{host}:{}/", weir.admin().port()));
    (weir, browser)
}

/// A change of an endpoint of the service `s`.
fn act(weir: &Weir, endpoint: &Endpoint, action: &str) {
    let path = format!("/api/services/s/endpoints/{}/{action}", endpoint.address());
    let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", weir.admin());
    let answer = Raw::ask(weir.admin(), format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Waits until the element can be seen and its words contain these.
fn says(browser: &Browser, id: &str, words: &str) {
    let words = serde_json::to_string(words).unwrap();
    let place = format!("document.getElementById('{id}')");
    becomes(browser, &format!("{place}.checkVisibility() && {place}.innerText.includes({words})"), true);
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

/// The words in the row of this endpoint, also of one that is not in view and therefore not laid out.
fn row(browser: &Browser, endpoint: &Endpoint) -> String {
    let script = format!(
        "const row = [...document.querySelectorAll('tbody tr')].find(row => row.cells[0].textContent === '{}');
        return [...row.cells].map(cell => cell.textContent).join(' ')",
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

#[test]
fn who_may_not_look_is_told_why_and_asked_for_no_token() {
    let Some(program) = driver() else { return };
    let endpoint = Endpoint::replying(Reply::new(200));
    // A name that is not this machine's own might be an attacker's for it.
    let (_weir, browser) = opened(&program, &Setup::before(&[&endpoint]).toml(), "weir.localhost");
    becomes(&browser, "document.getElementById('ready').innerText", "refused");
    says(&browser, "state", "ask by IP address");
    assert_eq!(browser.run("return document.getElementById('token').open"), false);
}

#[test]
fn a_token_is_asked_for_until_it_is_the_right_one() {
    let Some(program) = driver() else { return };
    let endpoint = Endpoint::replying(Reply::new(200));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let lines = format!("[admin]\nlisten = \"0.0.0.0:0\"\ntoken_file = \"{}\"", file.display());
    let toml = Setup::before(&[&endpoint]).toml().replace("[admin]\nlisten = \"127.0.0.1:0\"", &lines);
    let (_weir, browser) = opened(&program, &toml, "127.0.0.1");
    let open = "document.getElementById('token').open";
    let give = |token: &str| {
        becomes(&browser, open, true);
        token.chars().for_each(|key| browser.press(&key.to_string()));
        browser.press(ENTER);
    };
    give("wrong");
    says(&browser, "token-wrong", "not");
    browser.press(ESCAPE);
    // Who does not want to is not asked again and again.
    becomes(&browser, "document.getElementById('ready').innerText", "token needed");
    becomes(&browser, "document.activeElement.id", "give-token");
    browser.press(ENTER);
    give("0123456789abcdef0123456789abcdef");
    becomes(&browser, "document.querySelectorAll('tbody tr').length", 1);
    becomes(&browser, "document.getElementById('give-token').checkVisibility()", false);
}

#[test]
fn an_ejection_that_is_over_before_the_next_look_is_told_all_the_same() {
    let Some(program) = driver() else { return };
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let (weir, browser) = shown(&program, 1280, &Setup::before(&[&one, &other]), 2);
    act(&weir, &one, "eject");
    act(&weir, &one, "restore");
    says(&browser, "changes", "ejected: operator");
    says(&browser, "changes", "is healthy");
    assert!(row(&browser, &one).contains("healthy"));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_page_says_that_weir_is_away_and_shows_the_next_one_by_itself() {
    let Some(program) = driver() else { return };
    let (one, other) = (Endpoint::replying(Reply::new(200)), Endpoint::replying(Reply::new(200)));
    let admin = format!("[admin]\nlisten = \"127.0.0.1:{}\"", free_port());
    let toml = |setup: Setup| setup.toml().replace("[admin]\nlisten = \"127.0.0.1:0\"", &admin);
    let (mut weir, browser) = opened(&program, &toml(Setup::before(&[&one, &other])), "127.0.0.1");
    becomes(&browser, "document.querySelectorAll('tbody tr').length", 2);
    weir.kill();
    becomes(&browser, "document.getElementById('ready').innerText", "no connection");
    says(&browser, "state", "tries again");
    let _weir = Weir::start(WEIR, &toml(Setup::before(&[&other])));
    becomes(&browser, "document.getElementById('ready').innerText", "ready");
    becomes(&browser, "document.querySelectorAll('tbody tr').length", 1);
    becomes(&browser, "document.getElementById('state').checkVisibility()", false);
    says(&browser, "changes", "weir has been started anew");
    assert!(row(&browser, &other).contains("healthy"));
}

#[test]
fn of_a_thousand_rows_only_the_one_that_changes_is_touched() {
    let Some(program) = driver() else { return };
    let endpoint = Endpoint::replying(Reply::new(200));
    let list: Vec<_> = (0..999).map(|n| format!("\"127.0.{}.{}:9\"", n / 250 + 1, n % 250 + 1)).collect();
    let setup = Setup::of(&[]).endpoints(&format!("{}, \"{}\"", list.join(", "), endpoint.address()));
    let (weir, browser) = shown(&program, 1280, &setup, 1000);
    // Of each row that is touched, and of the facts, which change every second.
    browser.run(
        "window.touched = new Set(); window.seconds = 0;
        const watch = (place, heard) => new MutationObserver(heard)
            .observe(place, { subtree: true, childList: true, characterData: true, attributes: true });
        watch(document.getElementById('services'), (records) => {
            for (const { target } of records) {
                const row = (target.closest ? target : target.parentElement).closest('tr');
                if (row) touched.add(row.cells[0].textContent);
            }
        });
        watch(document.getElementById('facts'), () => { seconds += 1; });",
    );
    act(&weir, &endpoint, "drain");
    eventually("it is drained", || row(&browser, &endpoint).contains("drained"));
    becomes(&browser, "seconds > 2", true);
    assert_eq!(browser.run("return [...touched]"), serde_json::json!([endpoint.address().to_string()]));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_focus_stays_at_hand_when_rows_come_and_go() {
    let Some(program) = driver() else { return };
    let [one, two, three] = [(); 3].map(|()| Endpoint::replying(Reply::new(200)));
    let (weir, browser) = shown(&program, 1280, &Setup::before(&[&one, &two]), 2);
    let focus = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText";
    browser.run("document.querySelectorAll('tbody button')[1].focus()");
    weir.rewrite(&Setup::before(&[&two, &three]).toml());
    becomes(&browser, "document.querySelectorAll('tbody tr').length", 2);
    says(&browser, "changes", &format!("{} has joined", three.address()));
    becomes(&browser, focus, format!("Drain {}", two.address()));
    weir.rewrite(&Setup::before(&[&three]).toml());
    becomes(&browser, focus, format!("Drain {}", three.address()));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn what_others_have_written_is_text_and_nothing_else() {
    let Some(program) = driver() else { return };
    let endpoint = Endpoint::replying(Reply::new(200));
    let hostile = "<img src=x onerror=document.title=1>";
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join(format!("{hostile}.toml"));
    std::fs::write(&list, format!("endpoints = [\"{}\"]", endpoint.address())).unwrap();
    let setup = Setup::of(&[]).service(&format!("file = {{ path = \"{}\" }}", list.display()));
    let toml = setup.toml().replace("endpoints = []\n", "");
    let (weir, browser) = opened(&program, &toml, "127.0.0.1");
    becomes(&browser, "document.querySelectorAll('tbody tr').length", 1);
    assert!(row(&browser, &endpoint).contains(hostile));
    weir.rewrite(&toml.replace("name = \"s\"", &format!("name = \"{hostile}\"")));
    says(&browser, "reloads", hostile);
    assert_eq!(browser.run("return [document.images.length, document.title]"), serde_json::json!([0, "weir"]));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn every_file_of_the_page_forbids_what_it_does_not_need() {
    let weir = Setup::of(&[Endpoint::absent()]).start();
    let page = Raw::get(weir.admin(), "/").text();
    let files = page.split('"').filter(|text| text.starts_with("/page/"));
    for file in files.chain(["/"]) {
        let answer = Raw::get(weir.admin(), file);
        assert_eq!(answer.status, 200, "{file}");
        let policy = answer.field("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule) && !policy.contains("unsafe"), "{file}: {policy}");
        }
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{file}");
    }
}
