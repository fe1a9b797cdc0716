//! The image service being balanced: draws a watermark.
