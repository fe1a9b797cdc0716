//! How a JPEG is stored, as far as its way through the kernel depends on it.
//!
//! In: what its segments say up to its first scan. Out: a [`Stored`]. Cost: O(components).

use super::huffman::Scan;
use super::jpeg::{Component, Frame};
use crate::plan::Plan;
use crate::refusal::Refusal;

/// Facts about a JPEG that decide its way, and what that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Coefficients of all components, those that fill up the last units included. As many samples are decoded.
    pub coefficients: u64,
    /// One scan holds all of the picture: it is not progressive, and its components are not apart.
    pub one_scan: bool,
    /// Its samples are grey: one component.
    pub grey: bool,
    /// Its samples are grey or YCbCr, in samplings that divide one another, and Huffman coded: a mark can be blended into
    /// its coefficients.
    pub blends: bool,
    /// How its coefficients are coded.
    pub coding: Coding,
}

/// A way to code coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// By Huffman codes, which are read, changed and written here.
    Huffman,
    /// Arithmetically, which only a decoder to pixels reads.
    Arithmetic,
}

impl Stored {
    /// `ycc` says whether three components would be YCbCr.
    ///
    /// # Errors
    /// [`Refusal::Corrupt`] for a scan that is none of this frame.
    pub(super) fn of(frame: &Frame, scan: &[u8], ycc: bool) -> Result<Self, Refusal> {
        let scan = Scan::parse(scan, frame)?;
        let components = frame.components();
        let count = components.len();
        let in_order = scan.count == count && scan.parts.iter().take(count).map(|part| part.0).eq(0..count);
        let (across, down) = frame.most();
        let divides = |component: &Component| across % component.across == 0 && down % component.down == 0;
        Ok(Self {
            coefficients: frame.blocks().iter().map(|(across, down)| u64::from(*across) * u64::from(*down) * 64).sum(),
            one_scan: !frame.progressive && in_order,
            grey: count == 1,
            blends: frame.coding == Coding::Huffman
                && (count == 1 || (count == 3 && ycc && components.iter().all(divides))),
            coding: frame.coding,
        })
    }

    /// Whether the mark of `plan` can be blended into its coefficients. Grey ones have no room for a colour.
    pub(super) fn takes(&self, plan: &Plan) -> bool {
        self.blends && (!self.grey || plan.mark.is_grey())
    }
}
