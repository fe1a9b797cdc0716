//! What an exchange will cost an endpoint, learnt from what others did.
//!
//! In: the body of a request; then the endpoint's own word (`Server-Timing: work;dur=12.5`), or how long its answer took.
//! Out: milliseconds. A prediction may be wrong by any factor: it orders a queue whose bounds hold all the same, and what
//! a client understated is charged to it afterwards.
//! Cost: a lock of the service's own for 100 ns, twice an exchange; nothing for services that predict nothing.

mod image;
mod model;
mod quantile;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use weir_balance::Nanos;
use weir_snapshot::WorkFrom;

pub use self::model::Coefficients;

use self::image::pixels;
use self::model::{Model, Size};
use self::quantile::Quantile;
use crate::body::Held;
use crate::observe::WorkMetrics;

/// What is thought of pictures before the first answer: decoding and encoding a megapixel of JPEG takes one core of our
/// day about 20 ms, whatever its bytes.
const PICTURE: Coefficients = Coefficients { per_exchange: 2.0, per_megapixel: 20.0, per_mebibyte: 2.0 };

/// The same of bodies that are not looked into: photos have some 3 megapixels in a mebibyte.
const BODY: Coefficients = Coefficients { per_exchange: 2.0, per_megapixel: 0.0, per_mebibyte: 60.0 };

/// What the services that predict have learnt.
#[derive(Debug, Default)]
pub(crate) struct Works {
    services: RwLock<HashMap<Arc<str>, Arc<Learner>>>,
}

/// What one service has learnt. Outlasts snapshots.
#[derive(Debug)]
pub(crate) struct Learner {
    learnt: Mutex<Learnt>,
    /// Kept here, so that no exchange looks them up.
    metrics: WorkMetrics,
}

#[derive(Debug)]
struct Learnt {
    picture: Model,
    body: Model,
    /// Of the natural logarithm of predicted over real, a tenth, half and nine tenths of all are below.
    errors: [Quantile; 3],
}

/// What was predicted for one exchange, and how it can be learnt from.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    learner: Arc<Learner>,
    size: Size,
    is_picture: bool,
    /// What it will cost an endpoint.
    pub(crate) work: Nanos,
}

/// What a service has learnt about the work of its exchanges.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkReport {
    /// The service.
    pub service: Arc<str>,
    /// Answers that it learnt from.
    pub answers: u64,
    /// Of pictures whose dimensions are known: milliseconds by pixels and bytes.
    pub picture: Coefficients,
    /// Of all other bodies: milliseconds by bytes.
    pub body: Coefficients,
    /// Predicted over real work: a tenth, half and nine tenths of all exchanges are below; 1 is exact.
    pub errors: [f64; 3],
}

impl Works {
    /// What the body of an exchange with this service lets expect; `None` when nothing is to be predicted. Of a body
    /// that is not held whole `length` counts alone, or without one what is held of it.
    pub(crate) fn predict(
        &self,
        service: &Arc<str>,
        from: WorkFrom,
        held: &Held,
        length: Option<u64>,
    ) -> Option<Prediction> {
        let bytes = length.unwrap_or(0).max(held.len());
        let pixels = match from {
            WorkFrom::Nothing => return None,
            WorkFrom::Length => None,
            WorkFrom::Image => pixels(held.chunks(), bytes),
        };
        let size = Size { pixels: pixels.unwrap_or(0), bytes };
        let learner = self.learner(service);
        let is_picture = pixels.is_some();
        let work = nanos(learner.with(|learnt| learnt.model(is_picture).predict(size)));
        Some(Prediction { learner, size, is_picture, work })
    }

    /// Forgets the services that are no more.
    pub(crate) fn retain(&self, known: impl Fn(&str) -> bool) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).retain(|service, _| known(service));
    }

    /// What each service has learnt, by name.
    pub(crate) fn reports(&self) -> Vec<WorkReport> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        let mut reports: Vec<_> = services.iter().map(|(service, learner)| learner.report(service)).collect();
        reports.sort_by(|a, b| a.service.cmp(&b.service));
        reports
    }

    fn learner(&self, service: &Arc<str>) -> Arc<Learner> {
        let known = self.services.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned();
        known.unwrap_or_else(|| {
            let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
            services.entry(Arc::clone(service)).or_insert_with(|| Arc::new(Learner::new(service))).clone()
        })
    }
}

impl Learner {
    fn new(service: &str) -> Self {
        let learnt = Mutex::new(Learnt {
            picture: Model::new(PICTURE),
            body: Model::new(BODY),
            errors: [Quantile::new(0.1), Quantile::new(0.5), Quantile::new(0.9)],
        });
        Self { learnt, metrics: WorkMetrics::new(service) }
    }

    fn report(&self, service: &Arc<str>) -> WorkReport {
        self.with(|learnt| WorkReport {
            service: Arc::clone(service),
            answers: learnt.picture.answers() + learnt.body.answers(),
            picture: learnt.picture.coefficients(),
            body: learnt.body.coefficients(),
            errors: learnt.errors.each_ref().map(|quantile| quantile.get().exp()),
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Learnt) -> T) -> T {
        change(&mut self.learnt.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Learnt {
    fn model(&mut self, is_picture: bool) -> &mut Model {
        if is_picture { &mut self.picture } else { &mut self.body }
    }
}

impl Prediction {
    /// Where it is recorded, and how well it did.
    pub(crate) fn metrics(&self) -> &WorkMetrics {
        &self.learner.metrics
    }

    /// It really was this much. Gives predicted over real.
    pub(crate) fn learn(&self, real: Duration) -> f64 {
        let real = real.as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "an hour is 2^42 ns")]
        let ratio = self.work.0 as f64 / 1e6 / real.max(1e-3);
        self.learner.with(|learnt| {
            learnt.model(self.is_picture).learn(self.size, real);
            learnt.errors.iter_mut().for_each(|quantile| quantile.see(ratio.ln()));
        });
        ratio
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a model predicts 1 µs to an hour")]
fn nanos(millis: f64) -> Nanos {
    Nanos((millis * 1e6) as u64)
}

/// The longest work that an endpoint's word is taken for.
const LONGEST: f64 = 3_600_000.0;

/// Made once: a name given as text is parsed with every answer.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The work that an answer's `Server-Timing` tells, without what it waited at the endpoint.
///
/// Source: W3C Server Timing; the metric is called `work`, its `dur` is in milliseconds.
pub(crate) fn told(answer: &HeaderMap) -> Option<Duration> {
    let fields = answer.get_all(SERVER_TIMING).iter().filter_map(|value| value.to_str().ok());
    let metric = fields
        .flat_map(|field| field.split(','))
        .find(|metric| metric.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("work")))?;
    let millis: f64 = metric.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("dur").then(|| value.trim().trim_matches('"').parse().ok())?
    })?;
    (0.0..=LONGEST).contains(&millis).then(|| Duration::from_secs_f64(millis / 1e3))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;
    use crate::body::Budget;

    fn answer(fields: &[&str]) -> HeaderMap {
        let values = fields.iter().map(|field| HeaderValue::from_str(field).unwrap());
        let mut map = HeaderMap::new();
        map.extend(values.map(|value| (SERVER_TIMING, value)));
        map
    }

    #[test]
    fn the_work_is_read_among_other_metrics_and_only_if_it_is_one() {
        let told = |fields: &[&str]| told(&answer(fields)).map(|span| span.as_micros());
        assert_eq!(told(&["work;dur=12.5"]), Some(12_500));
        assert_eq!(told(&["queue;dur=3", "decode;dur=4, Work;desc=\"all\"; dur=\"7\""]), Some(7000));
        for none in ["network;dur=3", "work", "work;dur=-1", "work;dur=NaN", "work;dur=1e9", "work;dur=", ""] {
            assert_eq!(told(&[none]), None, "{none}");
        }
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn what_is_learnt_of_one_service_is_not_believed_of_another() {
        let works = Works::default();
        let mut held = Held::new(&Budget::new(1 << 20), 1 << 20);
        held.push(Bytes::from(vec![0; 100_000]));
        held.finish();
        let predict = |service: &str| works.predict(&service.into(), WorkFrom::Length, &held, None).unwrap();
        let before = predict("b").work;
        for _ in 0..50 {
            predict("a").learn(Duration::from_secs(2));
        }
        assert!(predict("a").work > Nanos::from_millis(1800), "{:?}", predict("a").work);
        assert_eq!(predict("b").work, before);
        let reports = works.reports();
        let told: Vec<_> = reports.iter().map(|report| (&*report.service, report.answers)).collect();
        assert_eq!(told, [("a", 50), ("b", 0)]);
        assert!((reports[0].errors[1] - 1.0).abs() < 0.2, "{:?}", reports[0].errors);
    }

    #[test]
    fn nothing_is_predicted_where_nothing_is_asked_for() {
        let held = Held::new(&Budget::new(0), 0);
        assert!(Works::default().predict(&"a".into(), WorkFrom::Nothing, &held, Some(7)).is_none());
    }
}
