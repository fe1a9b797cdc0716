//! Where problems are gathered while the reading goes on.

use std::ops::Range;

use crate::Problem;

/// What is wrong, without the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), label: label.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(self, span: Range<usize>) -> Problem {
        Problem { message: self.message, span, label: self.label, help: self.help }
    }
}

/// Stands for a value that could not be had, and says that the reason is in the [`Sink`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    list: Vec<(Rests, Problem)>,
}

/// What a problem's truth rests on; matters when parts of the text could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rests {
    /// The marked place alone.
    OnItsPlace,
    /// Something not being written anywhere.
    OnTheWhole,
}

impl Sink {
    /// The value at `span` is wrong, whatever the rest of the text says.
    pub(crate) fn wrong(&mut self, span: Range<usize>, fault: Fault) -> Reported {
        self.list.push((Rests::OnItsPlace, fault.at(span)));
        Reported
    }

    /// Something is missing from the text, and `span` is where it would be expected.
    pub(crate) fn missing(&mut self, span: Range<usize>, fault: Fault) -> Reported {
        self.list.push((Rests::OnTheWhole, fault.at(span)));
        Reported
    }

    /// How many problems there are so far.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Gives those problems from the `first` on that say nothing of it this help.
    pub(crate) fn advise(&mut self, first: usize, help: impl Fn() -> String) {
        for (_, problem) in self.list.iter_mut().skip(first) {
            problem.help.get_or_insert_with(&help);
        }
    }

    pub(crate) fn into_list(self) -> Vec<(Rests, Problem)> {
        self.list
    }
}
