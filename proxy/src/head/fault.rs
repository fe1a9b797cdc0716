//! What can be wrong with a head.

/// Why a head is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    RequestLine,
    Version,
    Target,
    EscapesRoot,
    BareLf,
    BareCr,
    Folded,
    NoColon,
    BlankBeforeColon,
    FieldName,
    FieldValue,
    LengthAndCoding,
    ContentLength,
    TransferEncoding,
    Host,
    Authority,
    Nominated,
}

impl Fault {
    /// The value of the metric label `reason`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::RequestLine => "bad_request_line",
            Self::Version => "bad_version",
            Self::Target => "bad_target",
            Self::EscapesRoot => "target_above_root",
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::Folded => "folded_field",
            Self::NoColon => "field_without_colon",
            Self::BlankBeforeColon => "blank_before_colon",
            Self::FieldName => "bad_field_name",
            Self::FieldValue => "bad_field_value",
            Self::LengthAndCoding => "length_and_coding",
            Self::ContentLength => "bad_content_length",
            Self::TransferEncoding => "bad_transfer_encoding",
            Self::Host => "bad_host",
            Self::Authority => "authority_differs",
            Self::Nominated => "connection_names_framing",
        }
    }

    /// What is wrong, for the client.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::RequestLine => "the request line is not `METHOD target HTTP/1.1`",
            Self::Version => "the version is neither HTTP/1.1 nor HTTP/1.0",
            Self::Target => "the request target is not a path, an absolute http URL or `*`",
            Self::EscapesRoot => "the request path leads above its root",
            Self::BareLf => "a line of the head ends in LF without CR",
            Self::BareCr => "a CR in the head is not followed by LF",
            Self::Folded => "a header field is folded over several lines",
            Self::NoColon => "a header line has no colon",
            Self::BlankBeforeColon => "a header name is followed by a blank before its colon",
            Self::FieldName => "a header name has a character that names cannot have",
            Self::FieldValue => "a header value has a control character",
            Self::LengthAndCoding => "Content-Length and Transfer-Encoding exclude each other",
            Self::ContentLength => "Content-Length must be one decimal number",
            Self::TransferEncoding => "Transfer-Encoding must be one `chunked`, on HTTP/1.1",
            Self::Host => "HTTP/1.1 wants one valid Host",
            Self::Authority => "the target's host differs from Host",
            Self::Nominated => "Connection must not name Host, Content-Length or Transfer-Encoding",
        }
    }
}
