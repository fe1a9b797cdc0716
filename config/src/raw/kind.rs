//! What a key can hold: how it is read, how it is called, how it is written back.

use std::fmt;

use toml::de::{DeInteger, DeValue};
use weir_snapshot::{Bytes, Millis};

use super::{Value, found, list_help};
use crate::near::{any_of, nearest};
use crate::sink::{Fault, Reported, Sink};
use crate::text::{parse_duration, parse_size, parse_statuses, quoted, show_duration, show_size};

/// What a key can hold.
pub(crate) trait Kind {
    type Out;
    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Self::Out, Reported>;
    /// The type and range for the reference page, Markdown.
    fn shape(&self) -> String;
    /// A value as it is written in TOML.
    fn show(&self, value: &Self::Out) -> String;
}

/// A whole number, both ends included.
pub(crate) struct Whole<T> {
    pub(crate) min: T,
    pub(crate) max: T,
}

/// A span of time such as `"3s"`.
pub(crate) struct Duration {
    pub(crate) min: Millis,
    pub(crate) max: Millis,
}

/// A number of bytes such as `"64KiB"`.
pub(crate) struct Size {
    pub(crate) min: Bytes,
    pub(crate) max: Bytes,
}

/// A number with at most two decimal places, such as `1.25`, read and bounded in hundredths.
pub(crate) struct Factor {
    pub(crate) min: u16,
    pub(crate) max: u16,
}

/// `true` or `false`.
pub(crate) struct Flag;

/// One of a few words.
pub(crate) struct Word<T: 'static> {
    pub(crate) words: &'static [(&'static str, T)],
    /// Words that a later version will know.
    pub(crate) later: &'static [&'static str],
}

/// Text of some form.
pub(crate) struct Text<T> {
    pub(crate) shape: &'static str,
    pub(crate) parse: fn(&str) -> Result<T, Fault>,
    pub(crate) show: fn(&T) -> String,
}

/// An array of values of one kind.
pub(crate) struct List<K> {
    pub(crate) each: K,
}

/// An HTTP status or a range of them: `502`, `"502"` or `"500-504"`, both ends included.
pub(crate) struct Statuses {
    pub(crate) min: u16,
    pub(crate) max: u16,
}

impl<T: Copy + PartialOrd + fmt::Display + TryFrom<i128>> Kind for Whole<T> {
    type Out = T;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<T, Reported> {
        let DeValue::Integer(number) = value.get_ref() else {
            let fault = Fault::new(format!("`{name}` is a whole number"), found(value.get_ref()));
            let unquoted = value.get_ref().as_str().filter(|text| text.parse::<u64>().is_ok());
            let fault = match unquoted {
                Some(text) => fault.help(format!("write `{name} = {text}`, without quotes")),
                None => fault,
            };
            return Err(sink.wrong(value.span(), fault));
        };
        let (label, help) = match whole(number).map(|number| (number, T::try_from(number))) {
            Some((_, Ok(legal))) if (self.min..=self.max).contains(&legal) => return Ok(legal),
            Some((_, Ok(other))) if other < self.min => ("too small", at_least(name, &self.min)),
            Some((negative, _)) if negative < 0 => ("too small", at_least(name, &self.min)),
            _ => ("too large", at_most(name, &self.max)),
        };
        let message = format!("`{name}` is between {} and {}", self.min, self.max);
        Err(sink.wrong(value.span(), Fault::new(message, label).help(help)))
    }

    fn shape(&self) -> String {
        format!("whole number, {} to {}", self.min, self.max)
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

impl Kind for Factor {
    type Out = u16;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<u16, Reported> {
        let limits = || format!("`{name}` is between {} and {}", show_factor(self.min), show_factor(self.max));
        let text = match value.get_ref() {
            DeValue::Integer(number) => whole(number).map(|number| number.to_string()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            other => {
                let fault = Fault::new(format!("`{name}` is a number"), found(other));
                return Err(sink.wrong(value.span(), fault.help(format!("write for example `{name} = 1.25`"))));
            }
        };
        let number = text.and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let fault = if number < f64::from(self.min) / 100.0 {
            Fault::new(limits(), "too small").help(at_least(name, &self.show(&self.min)))
        } else if number <= f64::from(self.max) / 100.0 {
            // The nearest: 1.1 in binary is a little more than 110 hundredths, and no more decimal places were asked for.
            let hundredths = (self.min..=self.max).find(|&each| (number * 100.0 - f64::from(each)).abs() < 1e-6);
            match hundredths {
                Some(hundredths) => return Ok(hundredths),
                None => Fault::new(format!("`{name}` has at most two decimal places"), "too fine")
                    .help(format!("write `{name} = {number:.2}`")),
            }
        } else {
            let label = if number.is_nan() { "not a number" } else { "too large" };
            Fault::new(limits(), label).help(at_most(name, &self.show(&self.max)))
        };
        Err(sink.wrong(value.span(), fault))
    }

    fn shape(&self) -> String {
        format!("number, {} to {}", show_factor(self.min), show_factor(self.max))
    }

    fn show(&self, value: &u16) -> String {
        show_factor(*value)
    }
}

fn at_least(name: &str, value: &impl fmt::Display) -> String {
    format!("write `{name} = {value}` or more")
}

fn at_most(name: &str, value: &impl fmt::Display) -> String {
    format!("write `{name} = {value}` or less")
}

fn show_factor(hundredths: u16) -> String {
    format!("{:?}", f64::from(hundredths) / 100.0)
}

/// `None` for numbers that no key could hold.
fn whole(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Kind for Duration {
    type Out = Millis;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Millis, Reported> {
        let limits = || format!("`{name}` is between `{}` and `{}`", show_duration(self.min), show_duration(self.max));
        let fault = match value.get_ref() {
            DeValue::String(text) => match parse_duration(text) {
                Ok(span) if span < self.min => {
                    Fault::new(limits(), "too short").help(at_least(name, &self.show(&self.min)))
                }
                Ok(span) if span > self.max => {
                    Fault::new(limits(), "too long").help(at_most(name, &self.show(&self.max)))
                }
                Ok(span) => return Ok(span),
                Err(fault) => fault,
            },
            DeValue::Integer(number) => {
                let fault =
                    Fault::new(format!("`{name}` is a duration, which needs a unit"), "seconds or milliseconds?");
                fault.help(format!("write `\"{number}s\"` or `\"{number}ms\"`"))
            }
            other => Fault::new(format!("`{name}` is a duration"), found(other)).help("write for example `\"3s\"`"),
        };
        Err(sink.wrong(value.span(), fault))
    }

    fn shape(&self) -> String {
        format!("duration, `\"{}\"` to `\"{}\"`", show_duration(self.min), show_duration(self.max))
    }

    fn show(&self, value: &Millis) -> String {
        format!("\"{}\"", show_duration(*value))
    }
}

impl Kind for Size {
    type Out = Bytes;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Bytes, Reported> {
        let limits = || format!("`{name}` is between `{}` and `{}`", show_size(self.min), show_size(self.max));
        let fault = match value.get_ref() {
            DeValue::String(text) => match parse_size(text) {
                Ok(size) if size.get() == 0 && size < self.min => {
                    Fault::new(limits(), "too small").help("there is no unlimited: write the most that you expect")
                }
                Ok(size) if size < self.min => {
                    Fault::new(limits(), "too small").help(at_least(name, &self.show(&self.min)))
                }
                Ok(size) if size > self.max => {
                    Fault::new(limits(), "too large").help(at_most(name, &self.show(&self.max)))
                }
                Ok(size) => return Ok(size),
                Err(fault) => fault,
            },
            DeValue::Integer(number) => {
                let fault = Fault::new(format!("`{name}` is a size, which needs a unit"), "bytes or more?");
                fault.help(format!("write `\"{number}B\"`, `\"{number}KiB\"` or `\"{number}MiB\"`"))
            }
            other => Fault::new(format!("`{name}` is a size"), found(other)).help("write for example `\"64KiB\"`"),
        };
        Err(sink.wrong(value.span(), fault))
    }

    fn shape(&self) -> String {
        format!("size, `\"{}\"` to `\"{}\"`", show_size(self.min), show_size(self.max))
    }

    fn show(&self, value: &Bytes) -> String {
        format!("\"{}\"", show_size(*value))
    }
}

impl Kind for Flag {
    type Out = bool;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<bool, Reported> {
        value.get_ref().as_bool().ok_or_else(|| {
            let fault = Fault::new(format!("`{name}` is `true` or `false`"), found(value.get_ref()));
            let unquoted = value.get_ref().as_str().filter(|text| matches!(*text, "true" | "false"));
            let fault = match unquoted {
                Some(text) => fault.help(format!("write `{name} = {text}`, without quotes")),
                None => fault,
            };
            sink.wrong(value.span(), fault)
        })
    }

    fn shape(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}

impl<T: Copy + PartialEq> Kind for Word<T> {
    type Out = T;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<T, Reported> {
        let word = match value.get_ref() {
            DeValue::String(text) => known_word(name, text, self.words, self.later),
            other => Err(Fault::new(format!("`{name}` is {}", one_of(self.words)), found(other))),
        };
        word.map_err(|fault| sink.wrong(value.span(), fault))
    }

    fn shape(&self) -> String {
        one_of(self.words)
    }

    fn show(&self, value: &T) -> String {
        let word = self.words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| *word);
        format!("\"{word}\"")
    }
}

fn one_of<T>(words: &[(&'static str, T)]) -> String {
    let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    any_of(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What `text` means, or a fault that lists all words.
fn known_word<T: Copy>(name: &str, text: &str, words: &[(&'static str, T)], later: &[&str]) -> Result<T, Fault> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    if later.contains(&text) {
        let fault = Fault::new(format!("`{text}` comes with a later version of weir"), "not in this version");
        return Err(fault.help(format!("this version knows {}", one_of(words))));
    }
    let fault = Fault::new(format!("`{name}` is {}", one_of(words)), "none of them");
    Err(match (nearest(text, &all), all.first()) {
        (Some(word), _) => fault.help(format!("did you mean `\"{word}\"`?")),
        (None, Some(word)) => fault.help(format!("write for example `\"{word}\"`")),
        (None, None) => fault,
    })
}

impl<T> Kind for Text<T> {
    type Out = T;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<T, Reported> {
        let fault = match value.get_ref() {
            DeValue::String(text) => match (self.parse)(text) {
                Ok(read) => return Ok(read),
                Err(fault) => fault,
            },
            other => self.unquoted(name, other),
        };
        Err(sink.wrong(value.span(), fault))
    }

    fn shape(&self) -> String {
        self.shape.to_owned()
    }

    fn show(&self, value: &T) -> String {
        quoted(&(self.show)(value))
    }
}

impl<T> Text<T> {
    /// What is wrong with a value that is no text: only its quotes, or more.
    fn unquoted(&self, name: &str, value: &DeValue<'_>) -> Fault {
        let written = match value {
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Array(all) => {
                let fault = Fault::new(format!("`{name}` is text"), found(value));
                return match all.first().and_then(|first| first.get_ref().as_str()) {
                    Some(first) => {
                        fault.help(format!("write `\"{first}\"`, and the table once more for each other one"))
                    }
                    None => fault,
                };
            }
            other => return Fault::new(format!("`{name}` is text"), found(other)),
        };
        match (self.parse)(&written) {
            Ok(_) => {
                Fault::new(format!("`{name}` is text"), found(value)).help(format!("write `\"{written}\"`, in quotes"))
            }
            Err(fault) => Fault { label: found(value).to_owned(), ..fault },
        }
    }
}

impl<K: Kind> Kind for List<K> {
    type Out = Vec<K::Out>;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Self::Out, Reported> {
        let DeValue::Array(array) = value.get_ref() else {
            let fault = Fault::new(format!("`{name}` is an array"), found(value.get_ref()));
            return Err(sink.wrong(value.span(), list_help(fault, value)));
        };
        // Collected in two steps, so that each wrong element is reported and not only the first.
        let read: Vec<_> = array.iter().map(|value| self.each.read(name, value, sink)).collect();
        read.into_iter().collect()
    }

    fn shape(&self) -> String {
        format!("array of: {}", self.each.shape())
    }

    fn show(&self, value: &Self::Out) -> String {
        let shown: Vec<String> = value.iter().map(|value| self.each.show(value)).collect();
        format!("[{}]", shown.join(", "))
    }
}

impl Statuses {
    fn within(&self, name: &str, range: (u16, u16)) -> Result<(u16, u16), Fault> {
        let (first, last) = range;
        if self.min <= first && last <= self.max {
            return Ok(range);
        }
        Err(Fault::new(format!("a status in `{name}` is between {} and {}", self.min, self.max), "outside of that"))
    }

    /// `range` as read from text or a number, for lists that hold other things too.
    pub(crate) fn read_one(&self, name: &str, value: &Value<'_>) -> Result<(u16, u16), Fault> {
        let range = match value.get_ref() {
            DeValue::String(text) => parse_statuses(text)?,
            DeValue::Integer(number) => {
                let status = whole(number).and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
                (status, status)
            }
            other => {
                let fault = Fault::new(format!("an element of `{name}` is a status"), found(other));
                return Err(fault.help("write for example `\"502\"` or `\"500-504\"`"));
            }
        };
        self.within(name, range)
    }
}

impl Kind for Statuses {
    type Out = (u16, u16);

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<(u16, u16), Reported> {
        self.read_one(name, value).map_err(|fault| sink.wrong(value.span(), fault))
    }

    fn shape(&self) -> String {
        format!("status or range of statuses, {} to {}", self.min, self.max)
    }

    fn show(&self, value: &(u16, u16)) -> String {
        let (start, end) = value;
        if start == end { format!("\"{start}\"") } else { format!("\"{start}-{end}\"") }
    }
}
