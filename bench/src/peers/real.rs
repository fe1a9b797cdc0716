//! The second mode: real optimizers and real work, fewer of them.
//!
//! In: the program `weir-optimizer`, photos. Out: running optimizers, and how long each photo takes an idle one, by its own
//! `Server-Timing`. Photos come from a folder of the reader's choice, or are made here: three sizes of a landscape of waves and
//! grain, so that a fresh clone can run this. Cost: seconds for the photos, and whole cores while it runs.

use std::io::Cursor;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, Luma, Rgb};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::Client;
use super::contender::Lines;
use super::load::Target;
use super::trace::{Class, Job, Picture, to_f64};
use crate::error::BenchError;
use crate::rig::child::Child;
use crate::rig::clock;
use crate::rounds::median;

/// What requests ask for: a watermark all over the photo and another format, so that all of it is work, and so much of it that what
/// the proxy and the load take from the same cores is little beside it.
pub(crate) const PATH: &str = "/optimize?text=weir&position=tile&format=webp&quality=60";
/// How long an optimizer may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_millis(10);
/// How often each photo is asked for to learn what it takes; the middle counts.
const LESSONS: usize = 5;
/// Images that may wait inside an optimizer: more than any run sends, since how full endpoints get is what is compared.
const QUEUE: &str = "10000";
/// Width and height of the photos that are made when none are given: pixels as 1 to 5 to 20, like the work of the emulated mix.
const MADE: [(u32, u32); 3] = [(774, 516), (1731, 1154), (3462, 2308)];
/// Quality that they are compressed with, as cameras do.
const QUALITY: u8 = 85;

/// A running optimizer; ended when dropped.
pub(crate) struct Optimizer {
    address: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

impl Optimizer {
    /// Starts one with so many workers, which says `number` in its answers; by the words of `under`, if there are any.
    ///
    /// # Errors
    /// [`BenchError::Start`], or [`BenchError::NotReady`] with what it wrote.
    pub(crate) async fn start(
        program: &Path,
        under: Option<&str>,
        number: usize,
        workers: u32,
    ) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir()?;
        let (number, workers) = (number.to_string(), workers.to_string());
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--workers",
            &workers,
            "--queue",
            QUEUE,
            "--id",
            &number,
            "--body-memory",
            "4294967296",
        ];
        let name = program.display().to_string();
        let mut words: Vec<&str> = under.unwrap_or_default().split_whitespace().collect();
        words.push(&name);
        words.extend(arguments);
        let (first, rest) = words.split_first().unwrap_or((&"", &[]));
        let mut child = Child::start(Path::new(first), rest, folder.path().join("output"), None)?;
        let deadline = clock::now() + PATIENCE;
        loop {
            let output = child.output();
            let said =
                output.split_inclusive('\n').find(|line| line.contains("listening on http://") && line.ends_with('\n'));
            if let Some(address) = said.and_then(|line| line.trim_end().rsplit("http://").next()?.parse().ok()) {
                return Ok(Self { address, _child: child, _folder: folder });
            }
            let reason = match (child.runs(), clock::now() > deadline) {
                (false, _) => "it ended",
                (true, true) => "it does not listen",
                (true, false) => {
                    sleep(BEAT).await;
                    continue;
                }
            };
            return Err(BenchError::NotReady { name: "weir-optimizer", reason, output });
        }
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The JPEG, PNG and WebP files of `folder`, or photos made here.
///
/// # Errors
/// [`BenchError::Photos`].
pub(crate) fn photos(folder: Option<&Path>) -> Result<Vec<Bytes>, BenchError> {
    let Some(folder) = folder else { return MADE.iter().map(|(width, height)| make(*width, *height)).collect() };
    let failed = |source| BenchError::Photos { path: folder.to_owned(), source };
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let known = |path: &Path| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
        ["jpg", "jpeg", "png", "webp"].contains(&end.as_str())
    };
    paths.retain(|path| known(path));
    // Folders are listed in any order; the numbers of photos must not depend on it.
    paths.sort();
    if paths.is_empty() {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    paths.iter().map(|path| std::fs::read(path).map(Bytes::from).map_err(failed)).collect()
}

/// A landscape of waves and grain.
fn make(width: u32, height: u32) -> Result<Bytes, BenchError> {
    let wave = |x: u32, scale: f64| (f64::from(x) / f64::from(width) * scale).sin() * 60.0;
    let columns: Vec<f64> = (0..width).map(|x| wave(x, 19.0)).collect();
    let picture: ImageBuffer<Rgb<u8>, Vec<u8>> = ImageBuffer::from_fn(width, height, |x, y| {
        let column = usize::try_from(x).ok().and_then(|x| columns.get(x)).copied().unwrap_or_default();
        let grain = f64::from((x.wrapping_mul(7_919) ^ y.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) >> 27);
        let light = 128.0 + column * f64::from(y) / f64::from(height) + grain / 4.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, rightly here"
        )]
        let Luma([level]) = Luma([light as u8]);
        Rgb([level, level.saturating_add(20), level.saturating_sub(20)])
    });
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode_image(&picture)
        .map_err(|error| BenchError::Io(std::io::Error::other(error)))?;
    Ok(bytes.into_inner().into())
}

/// How long each photo takes the optimizers at `addresses` while all of them work on it, and the class that makes it: of the
/// photos in the order of their work, the first third is small, the last one large.
///
/// All at once, because cores share caches, memory and, under a hypervisor, perhaps even themselves: what they can do together is
/// less than what each can do alone, and the offered load is a share of that.
///
/// # Errors
/// [`BenchError::Lesson`] when one refuses a photo or does not say how long it took.
pub(crate) async fn lessons(addresses: &[SocketAddr], photos: &[Bytes]) -> Result<Vec<(Class, Duration)>, BenchError> {
    let clients: Vec<Arc<Client>> = addresses.iter().map(|&address| Arc::new(Client::new(address))).collect();
    let target = Arc::new(Target { path: PATH, photos: photos.to_vec() });
    let mut works = Vec::new();
    for number in 0..photos.len() {
        let mut asked = JoinSet::new();
        for client in &clients {
            let (client, target) = (client.clone(), target.clone());
            asked.spawn(async move { lesson(&client, &target, number).await });
        }
        let mut found = Vec::new();
        while let Some(done) = asked.join_next().await {
            found.extend(done.map_err(std::io::Error::other)??);
        }
        works.push(Duration::from_secs_f64(median(found).unwrap_or_default()));
    }
    Ok(classes(&works).into_iter().zip(works).collect())
}

/// What one optimizer says that a photo took, in seconds, several times.
async fn lesson(client: &Client, target: &Target, number: usize) -> Result<Vec<f64>, BenchError> {
    let failed = |reason: String| BenchError::Lesson { number, reason };
    let job = Job { at: Duration::ZERO, class: Class::Small, work: Duration::ZERO, picture: Picture::Photo(number) };
    let mut found = Vec::new();
    for _ in 0..LESSONS {
        let request = target.request(&job).map_err(failed)?;
        let answer = client.ask(request).await.map_err(|failure| failed(crate::error::chain(&failure)))?;
        match (answer.status, answer.work) {
            (200, Some(work)) => found.push(work / 1e3),
            (200, None) => return Err(failed("its answer has no Server-Timing".to_owned())),
            (status, _) => return Err(failed(format!("status {status}"))),
        }
    }
    Ok(found)
}

/// Where somebody who knows the photos draws the lines between small, medium and large: in the middle, as factors go.
pub(crate) fn lines(lessons: &[(Class, Duration)], photos: &[Bytes]) -> Lines {
    let mean = |of: &dyn Fn(usize) -> f64, class: Class| {
        let logs =
            || lessons.iter().enumerate().filter(|(_, (found, _))| *found == class).map(|(number, _)| of(number).ln());
        logs().sum::<f64>() / to_f64(logs().count().max(1))
    };
    let bytes = |number: usize| photos.get(number).map_or(1.0, |photo| to_f64(photo.len()));
    let millis = |number: usize| lessons.get(number).map_or(1.0, |(_, work)| work.as_secs_f64() * 1e3);
    let between = |of: &dyn Fn(usize) -> f64, one, other| f64::midpoint(mean(of, one), mean(of, other)).exp();
    let all = |of: &dyn Fn(usize) -> f64| (0..lessons.len()).map(of).sum::<f64>();
    Lines {
        steps: [between(&bytes, Class::Small, Class::Medium), between(&bytes, Class::Medium, Class::Large)],
        bytes_per_ms: all(&bytes) / all(&millis).max(1e-6),
        small: between(&millis, Class::Small, Class::Medium),
    }
}

/// The class of each of `works`.
fn classes(works: &[Duration]) -> Vec<Class> {
    let mut order: Vec<usize> = (0..works.len()).collect();
    order.sort_by_key(|number| works.get(*number));
    let mut classes = vec![Class::Small; works.len()];
    for (rank, number) in order.into_iter().enumerate() {
        if let Some(class) = classes.get_mut(number) {
            *class = match rank * Class::ALL.len() / works.len() {
                0 => Class::Small,
                1 => Class::Medium,
                _ => Class::Large,
            };
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_sorted_into_thirds_by_their_work() {
        let works = [900, 5, 40, 6, 1_000, 30].map(Duration::from_millis);
        let [small, medium, large] = Class::ALL;
        assert_eq!(classes(&works), [large, small, medium, small, large, medium]);
        assert_eq!(classes(&works[..1]), [small]);
    }

    #[test]
    fn a_made_photo_is_one() {
        let bytes = make(64, 48).unwrap();
        let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 48));
    }
}
