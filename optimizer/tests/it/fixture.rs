//! Pictures, and a real optimizer to send them to.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use weir_optimizer::Refusal;
use weir_optimizer::kernel::{Format, Header, Kernel, Limits, Logos, Output};
use weir_optimizer::plan::FormatAsk;

/// 720 x 480, baseline.
pub(crate) const PHOTO: &[u8] = include_bytes!("../../photos/life.jpg");
pub(crate) const PROGRESSIVE: &[u8] = include_bytes!("../photos/progressive.jpg");
pub(crate) const PROGRESSIVE_RESTARTS: &[u8] = include_bytes!("../photos/progressive_restarts.jpg");
pub(crate) const RESTARTS: &[u8] = include_bytes!("../photos/restarts.jpg");
pub(crate) const GREY: &[u8] = include_bytes!("../photos/grey.jpg");
pub(crate) const CMYK: &[u8] = include_bytes!("../photos/cmyk.jpg");
pub(crate) const SEPARATE_SCANS: &[u8] = include_bytes!("../photos/separate_scans.jpg");
pub(crate) const OPTIMISED: &[u8] = include_bytes!("../photos/optimised.jpg");
pub(crate) const ARITHMETIC: &[u8] = include_bytes!("../photos/arithmetic.jpg");

/// Runs the kernel as the shell does, `format=auto` aside.
pub(crate) fn optimize(input: &[u8], query: &str) -> Result<Vec<u8>, Refusal> {
    Ok(run(input, query)?.to_vec())
}

/// The same, with the way it was done.
pub(crate) fn run(input: &[u8], query: &str) -> Result<Output, Refusal> {
    run_with(&Kernel::new().unwrap(), input, query)
}

/// The same, by a kernel that is there.
pub(crate) fn run_with(kernel: &Kernel, input: &[u8], query: &str) -> Result<Output, Refusal> {
    let plan = kernel.plan(query)?;
    let header = Header::read(input, &Limits::default())?;
    let target = match plan.format {
        FormatAsk::Is(format) => format,
        FormatAsk::Keep | FormatAsk::Auto => header.format,
    };
    kernel.optimize(&Bytes::copy_from_slice(input), &header, &plan, target, &mut |_| {})
}

/// A logo of 60 x 40 pixels: an ellipse with a soft edge and two colours that change across it, transparent about it.
pub(crate) fn badge() -> RgbaImage {
    RgbaImage::from_fn(60, 40, |x, y| {
        let (right, down) = ((f64::from(x) - 29.5) / 30.0, (f64::from(y) - 19.5) / 20.0);
        let edge = (1.06 - right.hypot(down)) * 12.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let alpha = (edge.clamp(0.0, 1.0) * 255.0) as u8;
        let [x, y] = [x, y].map(|side| u8::try_from(side).unwrap());
        Rgba([255 - 3 * x, 4 * x, 40 + 5 * y, alpha])
    })
}

/// The badge, and the same in grey.
pub(crate) fn logos() -> Logos {
    let mut logos = Logos::default();
    logos.add("badge", &encoded(&badge().into(), ImageFormat::Png)).unwrap();
    logos.add("grey", &encoded(&DynamicImage::from(badge()).grayscale(), ImageFormat::Png)).unwrap();
    logos
}

/// The label of the refusal that `input` gets, or `ok`.
pub(crate) fn label(input: &[u8]) -> &'static str {
    optimize(input, "").map_or_else(|refusal| refusal.status_and_label().1, |_| "ok")
}

pub(crate) fn decoded(file: &[u8]) -> DynamicImage {
    image::load_from_memory(file).unwrap()
}

pub(crate) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A small part of the photo.
pub(crate) fn detail(width: u32, height: u32) -> DynamicImage {
    decoded(PHOTO).crop_imm(200, 100, width, height)
}

/// The query that makes [`heavy`] heavy: it is decoded and encoded, instead of spliced.
pub(crate) const HEAVY: &str = "?format=png";

/// About a second of work in the profile of the tests, with [`HEAVY`].
pub(crate) fn heavy() -> Vec<u8> {
    let large = decoded(PHOTO).resize_exact(6_000, 4_000, image::imageops::FilterType::Nearest);
    encoded(&large, ImageFormat::Jpeg)
}

/// The format and the dimensions of a file.
pub(crate) fn kind(file: &[u8]) -> (Format, u32, u32) {
    let header = Header::read(file, &Limits::default()).unwrap();
    (header.format, header.width, header.height)
}

/// `file`, a JPEG, with `segment` as the first after its start.
pub(crate) fn with_segment(file: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&file[..2], &[0xff, marker], &length, body, &file[2..]].concat()
}

/// A JPEG with an EXIF orientation.
pub(crate) fn with_orientation(file: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    with_segment(file, 0xe1, &exif)
}

/// A JPEG whose frame header claims other sides.
pub(crate) fn claiming(file: &[u8], width: u16, height: u16) -> Vec<u8> {
    let frame = file.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap();
    let mut file = file.to_vec();
    file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    file
}

/// A PNG chunk without a valid checksum.
pub(crate) fn png_chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length, &name[..], body, &[0; 4]].concat()
}

/// The real binary on a free port, killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_weir-optimizer"))
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap().1.to_owned();
        Self { process, address }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    pub(crate) fn post(&self, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&post_head(query, headers, body.len())).unwrap();
        stream.write_all(body).unwrap();
        Reply::read(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: o\r\n\r\n").unwrap();
        Reply::read(&mut stream)
    }

    /// A sample of `/metrics`, 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Returns once the sample has this value. The test runner's deadline ends what never happens.
    pub(crate) fn until(&self, name: &str, value: f64) {
        while (self.metric(name) - value).abs() > f64::EPSILON {}
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Most memory the process ever had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Starts the real binary with flags it should not start with: whether it did, and what it said.
pub(crate) fn refused_start(flags: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_weir-optimizer"))
        .args(["--listen", "127.0.0.1:0"])
        .args(flags)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is what the test then looked at.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn post_head(query: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let mut head = format!("POST /optimize{query} HTTP/1.1\r\nHost: o\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Reads one answer with a `Content-Length`, byte by byte up to the body, so that nothing after it is lost.
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        Self::try_read(stream).unwrap()
    }

    pub(crate) fn try_read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut reply = Self { status, headers, body: Vec::new() };
        if !matches!(status, 100 | 304) {
            reply.body.resize(reply.header("content-length").unwrap().parse().unwrap(), 0);
            stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The `reason` of a refusal.
    pub(crate) fn reason(&self) -> String {
        let body = String::from_utf8(self.body.clone()).unwrap();
        body.rsplit_once("\"reason\":\"").unwrap().1.trim_end_matches("\"}\n").to_owned()
    }
}
