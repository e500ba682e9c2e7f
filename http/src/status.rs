//! Status codes, and why a request was rejected.

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal $phrase:literal,)*) => {
        /// The status codes (RFC 9110 section 15, RFC 6585) that this server can be made to send.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Status { $($(#[$doc])* $name,)* }

        impl Status {
            /// Every member, in the order of the codes.
            pub const ALL: &'static [Status] = &[$(Status::$name,)*];

            /// The three-digit code.
            pub const fn code(self) -> u16 {
                match self { $(Status::$name => $code,)* }
            }

            /// The reason phrase of the registry, for the status line.
            pub const fn reason_phrase(self) -> &'static str {
                match self { $(Status::$name => $phrase,)* }
            }

            /// The member with this code.
            pub const fn from_code(code: u16) -> Option<Status> {
                match code { $($code => Some(Status::$name),)* _ => None }
            }
        }
    };
}

statuses! {
    /// 100, the interim answer to an expectation.
    Continue = 100 "Continue",
    /// 200.
    Ok = 200 "OK",
    /// 204.
    NoContent = 204 "No Content",
    /// 206.
    PartialContent = 206 "Partial Content",
    /// 301.
    MovedPermanently = 301 "Moved Permanently",
    /// 302.
    Found = 302 "Found",
    /// 303.
    SeeOther = 303 "See Other",
    /// 304.
    NotModified = 304 "Not Modified",
    /// 307.
    TemporaryRedirect = 307 "Temporary Redirect",
    /// 308.
    PermanentRedirect = 308 "Permanent Redirect",
    /// 400.
    BadRequest = 400 "Bad Request",
    /// 401.
    Unauthorized = 401 "Unauthorized",
    /// 403.
    Forbidden = 403 "Forbidden",
    /// 404.
    NotFound = 404 "Not Found",
    /// 405.
    MethodNotAllowed = 405 "Method Not Allowed",
    /// 408.
    RequestTimeout = 408 "Request Timeout",
    /// 410.
    Gone = 410 "Gone",
    /// 412.
    PreconditionFailed = 412 "Precondition Failed",
    /// 413.
    ContentTooLarge = 413 "Content Too Large",
    /// 414.
    UriTooLong = 414 "URI Too Long",
    /// 416.
    RangeNotSatisfiable = 416 "Range Not Satisfiable",
    /// 417.
    ExpectationFailed = 417 "Expectation Failed",
    /// 418, which tests of clients like to see.
    ImATeapot = 418 "I'm a teapot",
    /// 429 (RFC 6585).
    TooManyRequests = 429 "Too Many Requests",
    /// 431 (RFC 6585).
    FieldsTooLarge = 431 "Request Header Fields Too Large",
    /// 451 (RFC 7725).
    UnavailableForLegalReasons = 451 "Unavailable For Legal Reasons",
    /// 500.
    InternalServerError = 500 "Internal Server Error",
    /// 501.
    NotImplemented = 501 "Not Implemented",
    /// 502.
    BadGateway = 502 "Bad Gateway",
    /// 503.
    Unavailable = 503 "Service Unavailable",
    /// 504.
    GatewayTimeout = 504 "Gateway Timeout",
    /// 505.
    VersionNotSupported = 505 "HTTP Version Not Supported",
}

impl Status {
    /// Every error that the server sends on its own account; an image of prepared responses has
    /// one for each.
    pub const ERRORS: [Status; 14] = [
        Status::BadRequest,
        Status::NotFound,
        Status::MethodNotAllowed,
        Status::RequestTimeout,
        Status::PreconditionFailed,
        Status::ContentTooLarge,
        Status::UriTooLong,
        Status::RangeNotSatisfiable,
        Status::ExpectationFailed,
        Status::FieldsTooLarge,
        Status::InternalServerError,
        Status::NotImplemented,
        Status::Unavailable,
        Status::VersionNotSupported,
    ];
}

/// Why a request was rejected, in the words that operators of http.sys know from its error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request line or the chunked framing is not what the grammar says.
    BadRequest,
    /// The method is not a token, or longer than any target may be.
    Verb,
    /// The request-target has a forbidden octet, form or escape.
    Url,
    /// The request-target is over its limit.
    UrlLength,
    /// The version is malformed, or its major number is not 1.
    Version,
    /// A field line is malformed, or a field contradicts another.
    Header,
    /// Host is missing, repeated or not a host.
    Hostname,
    /// A length is not a number, is repeated, or does not fit.
    Number,
    /// A CR without LF, an LF without CR, or an empty line too many.
    InvalidCrLf,
    /// A field line is over its limit, or there are too many of them.
    FieldLength,
    /// The head is over its limit.
    RequestLength,
    /// The content is over its limit.
    EntityTooLarge,
    /// A transfer coding that is not implemented.
    NotImplemented,
    /// An expectation that cannot be met.
    Expectation,
}

impl Reason {
    /// Every reason, in the order of the counters.
    pub const ALL: [Reason; 14] = [
        Reason::BadRequest,
        Reason::Verb,
        Reason::Url,
        Reason::UrlLength,
        Reason::Version,
        Reason::Header,
        Reason::Hostname,
        Reason::Number,
        Reason::InvalidCrLf,
        Reason::FieldLength,
        Reason::RequestLength,
        Reason::EntityTooLarge,
        Reason::NotImplemented,
        Reason::Expectation,
    ];

    /// The word for a log line or a counter.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::BadRequest => "BadRequest",
            Reason::Verb => "Verb",
            Reason::Url => "URL",
            Reason::UrlLength => "URL_Length",
            Reason::Version => "Version_N/S",
            Reason::Header => "Header",
            Reason::Hostname => "Hostname",
            Reason::Number => "Number",
            Reason::InvalidCrLf => "Invalid_CR/LF",
            Reason::FieldLength => "FieldLength",
            Reason::RequestLength => "RequestLength",
            Reason::EntityTooLarge => "EntityTooLarge",
            Reason::NotImplemented => "N/I",
            Reason::Expectation => "Expectation",
        }
    }
}

/// What a broken request is answered with, and what it is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// The status of the answer.
    pub status: Status,
    /// The reason to count.
    pub reason: Reason,
}

impl Rejection {
    pub(crate) const fn new(status: Status, reason: Reason) -> Self {
        Rejection { status, reason }
    }

    /// 400 for `reason`.
    pub(crate) const fn bad(reason: Reason) -> Self {
        Self::new(Status::BadRequest, reason)
    }
}
