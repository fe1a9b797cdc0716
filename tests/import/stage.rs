//! A configuration of the corpus in a folder of its own, with real addresses in it, and the endpoints behind these.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use weir_testkit::{Call, Endpoint, Plan, Process, Raw, Reply, Weir, eventually, free_port};

/// Fields that an endpoint repeats in its answer.
const REPEATED: &[&str] = &[
    "host",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-edge",
    "x-only",
    "x-uri",
    "x-method",
    "x-name",
    "x-tier",
    "x-copy",
    "x-user",
    "cookie",
    "accept-encoding",
    "api_key",
    "x.y",
];

/// Endpoints by the address that the texts have for them: `10.0.GROUP.NUMBER:PORT`.
pub(crate) struct Stage {
    conf: PathBuf,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
}

/// A text with free ports in place of those that are written, and which became which.
struct Placed {
    folder: TempDir,
    main: PathBuf,
    ports: BTreeMap<u16, u16>,
}

impl Stage {
    /// Starts the endpoints of this configuration of the corpus; a name in `named` stands for the address beside it.
    pub(crate) fn new(conf: &str) -> Self {
        let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/import/tests/confs").join(conf);
        let mut endpoints = BTreeMap::new();
        for file in files(&conf) {
            for address in addresses(&read(&file)) {
                let label = address.clone();
                endpoints.entry(address).or_insert_with(|| Endpoint::start(move |call| told(&label, call)));
            }
        }
        assert!(!endpoints.is_empty(), "{} has endpoints", conf.display());
        Self { conf, endpoints }
    }

    /// Writes the files with the endpoints' addresses and free ports.
    fn place(&self) -> Placed {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        let mut ports = BTreeMap::new();
        for file in files(&self.conf) {
            let mut text = without_comments(&read(&file));
            for (address, endpoint) in self.endpoints.iter().rev() {
                text = text.replace(address.as_str(), &endpoint.address().to_string());
                // Port 80 need not be written.
                if let Some(bare) = address.strip_suffix(":80") {
                    text = replace_word(&text, bare, &endpoint.address().to_string());
                }
            }
            for (at, name) in ["optimizer_1:3001", "optimizer_2:3001", "optimizer_3:3001"].iter().enumerate() {
                if text.contains(name) {
                    let group = self.endpoints.values().nth(at).unwrap_or_else(|| panic!("{name} has an endpoint"));
                    text = text.replace(name, &group.address().to_string());
                }
            }
            let lines: Vec<String> =
                text.lines().filter(|line| !line.contains("listen [::]")).map(str::to_owned).collect();
            // nginx would listen on port 80, for which this may not be the place.
            let lines: Vec<String> =
                if lines.iter().any(|line| line.contains("listen ")) || self.conf.ends_with("debian/nginx.conf") {
                    lines
                } else {
                    lines
                        .iter()
                        .map(|line| if line == "server {" { "server {\n listen 80;".to_owned() } else { line.clone() })
                        .collect()
                };
            let lines: Vec<&str> = lines.iter().flat_map(|line| line.lines()).collect();
            let text: String = lines.iter().map(|line| listening(line, &mut ports) + "\n").collect();
            let text = text
                .replace("/etc/nginx", here)
                .replace("/var/log/nginx", here)
                .replace("/tmp/cache", here)
                .replace("/var/www/html", &format!("{here}/nothing"));
            let root = if self.conf.ends_with("debian/nginx.conf") {
                self.conf.parent().unwrap()
            } else {
                file.parent().unwrap()
            };
            let target = folder.path().join(file.strip_prefix(root).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, text).unwrap();
        }
        let main = folder.path().join(self.conf.file_name().unwrap());
        Placed { folder, main, ports }
    }

    /// nginx with this configuration, which it must accept.
    pub(crate) fn nginx(&self, program: &Path) -> Proxy {
        let placed = self.place();
        let here = placed.folder.path().to_str().unwrap().to_owned();
        let text = whole(&read(&placed.main), &here, &placed.ports);
        let text = if placed.ports.is_empty() { panic!("it listens nowhere:\n{text}") } else { text };
        let file = placed.folder.path().join("whole.conf");
        fs::write(&file, &text).unwrap();
        let settings = format!("daemon off; master_process off; pid {here}/pid;");
        let arguments = ["-p", &here, "-e", "stderr", "-c", file.to_str().unwrap(), "-g", &settings].map(str::to_owned);
        let tested = Command::new(program).args(&arguments).arg("-t").output().unwrap();
        assert!(tested.status.success(), "nginx refuses it:\n{}\n{text}", String::from_utf8_lossy(&tested.stderr));
        let process = Process::start(program, arguments);
        let ports = placed.ports.clone();
        eventually("nginx listens", || ports.values().all(|port| Raw::try_connect(at(*port), PATIENCE).is_ok()));
        Proxy { ports, _nginx: Some(process), weir: None, _folder: placed.folder }
    }

    /// weir with what `weir import` makes of it.
    pub(crate) fn weir(&self) -> Proxy {
        let placed = self.place();
        let imported = import(&placed.main);
        assert!(imported.ok, "{}", imported.said);
        let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &beside_others(&imported.toml));
        Proxy { ports: placed.ports, _nginx: None, weir: Some(weir), _folder: placed.folder }
    }
}

/// The same configuration, with an admin listener that is nobody else's, and no pause before the end.
fn beside_others(toml: &str) -> String {
    let admin = "[admin]\nlisten = \"127.0.0.1:";
    let (before, after) = toml.split_once(admin).unwrap_or_else(|| panic!("no admin listener in\n{toml}"));
    let after = after.split_once('"').unwrap().1;
    let toml = format!("{before}{admin}0\"{after}");
    let server = "[server]\nshutdown_delay = \"0s\"\n";
    if toml.contains("[server]\n") { toml.replacen("[server]\n", server, 1) } else { format!("{server}{toml}") }
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Either of the two, running.
pub(crate) struct Proxy {
    /// From the ports of the text to real ones.
    ports: BTreeMap<u16, u16>,
    _nginx: Option<Process>,
    weir: Option<Weir>,
    _folder: TempDir,
}

impl Proxy {
    /// The address that stands for this port of the text.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        at(*self.ports.get(&port).unwrap_or_else(|| panic!("nothing listens on {port}: {:?}", self.ports)))
    }

    /// Where weir's commands ask; nginx has no such place.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.weir.as_ref().map(Weir::admin).unwrap()
    }

    /// Words in which the real ports are those of the text again.
    pub(crate) fn as_written(&self, words: &str) -> String {
        self.ports
            .iter()
            .fold(words.to_owned(), |words, (written, real)| words.replace(&real.to_string(), &written.to_string()))
    }
}

/// What `weir import` did.
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) toml: String,
    pub(crate) said: String,
}

/// Runs `weir import`.
pub(crate) fn import(file: &Path) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).arg("import").arg(file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { ok: output.status.success(), toml: text(output.stdout), said: text(output.stderr) }
}

/// What an endpoint answers: who it is, what it was asked, and the fields that count.
fn told(label: &str, call: &Call) -> Plan {
    if call.head.field("upgrade").is_some() {
        return Plan::upgrade_echo(b"");
    }
    if call.target().starts_with("/hang") {
        return Plan::new().hang();
    }
    let group = label.split('.').nth(2).unwrap_or_default();
    let mut body = format!("group {group}\n{} {}\n", call.method(), call.target());
    for name in REPEATED {
        for value in call.head.all(name) {
            writeln!(body, "{name}: {value}").unwrap();
        }
    }
    let reply = Reply::new(200).header("X-Endpoint", label).header("X-Secret", "s").header("Server", "endpoint");
    Plan::new().read_body().reply(reply.body(body))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The file, or in a folder of several all of them.
fn files(conf: &Path) -> Vec<PathBuf> {
    if !conf.ends_with("debian/nginx.conf") {
        return vec![conf.to_path_buf()];
    }
    let (mut all, mut folders) = (Vec::new(), vec![conf.parent().unwrap().to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { all.push(path) }
        }
    }
    all
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().to_owned() + "\n").collect()
}

/// All of `10.x.x.x:port` in a text; one behind `server` or `http://` without a port has 80.
fn addresses(text: &str) -> Vec<String> {
    let words = without_comments(text);
    let words = words.split(|letter: char| letter.is_whitespace() || ";{}/".contains(letter));
    let of = |word: &str| match word {
        "optimizer_1:3001" => Some("10.0.1.1:3001".to_owned()),
        "optimizer_2:3001" => Some("10.0.1.2:3001".to_owned()),
        "optimizer_3:3001" => Some("10.0.1.3:3001".to_owned()),
        _ if word.starts_with("10.") && word.split('.').count() == 4 && word != "10.0.0.0" => {
            Some(if word.contains(':') { word.to_owned() } else { format!("{word}:80") })
        }
        _ => None,
    };
    words.filter_map(of).collect()
}

fn replace_word(text: &str, word: &str, new: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(word) {
        let whole = !after.starts_with(|letter: char| letter.is_ascii_digit() || letter == ':');
        out = out + before + if whole { new } else { word };
        rest = after;
    }
    out + rest
}

/// A line whose `listen` has a free port of the loopback address.
fn listening(line: &str, ports: &mut BTreeMap<u16, u16>) -> String {
    let Some((before, after)) = line.split_once("listen ") else { return line.to_owned() };
    let (address, rest) = after.split_at(after.find([' ', ';']).unwrap());
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let real = *ports.entry(port).or_insert_with(free_port);
    let rest = listening(rest, ports);
    format!("{before}listen 127.0.0.1:{real}{rest}")
}

/// A text that nginx takes for whole, and that needs no root: fragments get what is around them.
fn whole(text: &str, here: &str, ports: &BTreeMap<u16, u16>) -> String {
    let mut text: String = text
        .lines()
        .filter(|line| !["user ", "pid ", "error_log "].iter().any(|own| line.starts_with(own)))
        .flat_map(|line| [line, "\n"])
        .collect();
    if !text.contains("server {") && !text.contains("http {") {
        let port = ports.values().next().copied().unwrap_or_default();
        text = format!("server {{ listen 127.0.0.1:{port};\n{text}\n}}\n");
    }
    if !text.contains("http {") {
        text = format!("http {{\n{text}\n}}\n");
    }
    if !text.contains("events {") {
        text = format!("events {{}}\n{text}");
    }
    let mut paths = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(paths, "  {kind}_temp_path {here}/{kind};").unwrap();
    }
    let log = if text.contains("access_log") { "" } else { "  access_log off;\n" };
    text.replacen("http {\n", &format!("http {{\n{paths}{log}"), 1)
}
