//! The HTTP Server API 2.0, as far as it is needed. What each call does is in its documentation
//! under its own name; what it needs is said where it is called.
//!
//! Invariants:
//! 1. A handle or ID in a [`Session`] or [`Queue`] is open for as long as that lives.
//! 2. A pointer handed to a synchronous call (no OVERLAPPED) is not used after the call returns.

#![allow(unsafe_code, reason = "every call of this API is one of C")]

use std::fmt;
use std::ptr;

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_MORE_DATA, HANDLE, NO_ERROR};
use windows_sys::Win32::Networking::HttpServer::{
    HTTP_BINDING_INFO, HTTP_CACHE_POLICY, HTTP_DATA_CHUNK, HTTP_INITIALIZE_SERVER,
    HTTP_PROPERTY_FLAGS, HTTP_REQUEST_V2, HTTP_RESPONSE_V2, HTTP_VERSION, HTTPAPI_VERSION,
    HttpAddUrlToUrlGroup, HttpCachePolicyNocache, HttpCachePolicyUserInvalidates,
    HttpCloseServerSession, HttpCreateRequestQueue, HttpCreateServerSession, HttpCreateUrlGroup,
    HttpDataChunkFromMemory, HttpHeaderContentType, HttpInitialize, HttpReceiveHttpRequest,
    HttpSendHttpResponse, HttpServerBindingProperty, HttpSetUrlGroupProperty, HttpTerminate,
};

use crate::serve::Caching;

const VERSION: HTTPAPI_VERSION = HTTPAPI_VERSION { HttpApiMajorVersion: 2, HttpApiMinorVersion: 0 };
/// Octets for a request head; longer ones are answered all the same, as only the ID is wanted.
const REQUEST_BYTES: usize = 16 * 1024;

/// A call that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) call: &'static str,
    pub(crate) code: u32,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: Windows error {}", self.call, self.code)?;
        match self.code {
            5 => write!(f, " (run as administrator, or `netsh http add urlacl`)"),
            32 | 183 => write!(f, " (somebody else serves this URL)"),
            _ => Ok(()),
        }
    }
}

fn check(call: &'static str, code: u32) -> Result<(), Failure> {
    if code == NO_ERROR { Ok(()) } else { Err(Failure { call, code }) }
}

/// The API in use, and a session of it.
#[derive(Debug)]
pub(crate) struct Session(u64);

impl Session {
    pub(crate) fn new() -> Result<Self, Failure> {
        // SAFETY: the reserved pointer has to be null, and is.
        let code = unsafe { HttpInitialize(VERSION, HTTP_INITIALIZE_SERVER, ptr::null_mut()) };
        check("HttpInitialize", code)?;
        let mut session = 0;
        // SAFETY: invariant 2.
        let code = unsafe { HttpCreateServerSession(VERSION, &raw mut session, 0) };
        check("HttpCreateServerSession", code)?;
        Ok(Self(session))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: invariant 1; nothing uses the session after this.
        unsafe { HttpCloseServerSession(self.0) };
        // SAFETY: this ends what HttpInitialize began, once.
        unsafe { HttpTerminate(HTTP_INITIALIZE_SERVER, ptr::null_mut()) };
    }
}

/// Where the requests for one URL arrive. Its URL group ends with the session.
#[derive(Debug)]
pub(crate) struct Queue(HANDLE);

// SAFETY: http.sys takes calls on one queue from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId(u64);

impl Queue {
    pub(crate) fn new(session: &Session, url: &str) -> Result<Self, Failure> {
        let mut group = 0;
        // SAFETY: invariants 1 and 2.
        let code = unsafe { HttpCreateUrlGroup(session.0, &raw mut group, 0) };
        check("HttpCreateUrlGroup", code)?;
        let mut handle = ptr::null_mut();
        // SAFETY: invariant 2; a queue needs neither a name nor a security descriptor.
        let code = unsafe {
            HttpCreateRequestQueue(VERSION, ptr::null(), ptr::null(), 0, &raw mut handle)
        };
        check("HttpCreateRequestQueue", code)?;
        let queue = Self(handle);
        let binding = HTTP_BINDING_INFO {
            // The present bit.
            Flags: HTTP_PROPERTY_FLAGS { _bitfield: 1 },
            RequestQueueHandle: queue.0,
        };
        let size = u32::try_from(size_of_val(&binding)).unwrap_or(0);
        // SAFETY: invariant 2; the property is of the type that its name wants.
        let code = unsafe {
            HttpSetUrlGroupProperty(
                group,
                HttpServerBindingProperty,
                (&raw const binding).cast(),
                size,
            )
        };
        check("HttpSetUrlGroupProperty", code)?;
        let url: Vec<u16> = url.encode_utf16().chain([0]).collect();
        // SAFETY: invariant 2; the URL ends in a zero.
        let code = unsafe { HttpAddUrlToUrlGroup(group, url.as_ptr(), 0, 0) };
        check("HttpAddUrlToUrlGroup", code)?;
        Ok(queue)
    }

    /// Waits for the next request.
    pub(crate) fn receive(&self) -> Result<RequestId, Failure> {
        // Of u64, for the alignment of the structure at its beginning.
        let mut buffer = vec![0_u64; REQUEST_BYTES / size_of::<u64>()];
        let request: *mut HTTP_REQUEST_V2 = buffer.as_mut_ptr().cast();
        let bytes = u32::try_from(REQUEST_BYTES).unwrap_or(0);
        // SAFETY: invariants 1 and 2; the buffer is as long as it is said to be.
        let code = unsafe {
            HttpReceiveHttpRequest(self.0, 0, 0, request, bytes, ptr::null_mut(), ptr::null_mut())
        };
        if code != ERROR_MORE_DATA {
            check("HttpReceiveHttpRequest", code)?;
        }
        // SAFETY: the call filled in the structure, also when what follows it did not fit; it is
        // aligned and within the buffer.
        let request = unsafe { &*request };
        Ok(RequestId(request.Base.RequestId))
    }

    /// Answers a request with status 200.
    pub(crate) fn send(
        &self,
        request: RequestId,
        content: &[u8],
        content_type: &[u8],
        caching: Caching,
    ) -> Result<(), Failure> {
        let length = |octets: &[u8]| u32::try_from(octets.len()).unwrap_or(u32::MAX);
        let mut chunk =
            HTTP_DATA_CHUNK { DataChunkType: HttpDataChunkFromMemory, ..Default::default() };
        chunk.Anonymous.FromMemory.pBuffer = content.as_ptr().cast_mut().cast();
        chunk.Anonymous.FromMemory.BufferLength = length(content);
        let mut response = HTTP_RESPONSE_V2::default();
        let base = &mut response.Base;
        base.Version = HTTP_VERSION { MajorVersion: 1, MinorVersion: 1 };
        base.StatusCode = 200;
        base.pReason = c"OK".as_ptr().cast();
        base.ReasonLength = 2;
        base.EntityChunkCount = 1;
        base.pEntityChunks = &raw mut chunk;
        let known = usize::try_from(HttpHeaderContentType).unwrap_or(0);
        let field = &mut base.Headers.KnownHeaders[known];
        field.pRawValue = content_type.as_ptr();
        field.RawValueLength = u16::try_from(content_type.len()).unwrap_or(0);
        let policy = HTTP_CACHE_POLICY {
            Policy: match caching {
                Caching::Kernel => HttpCachePolicyUserInvalidates,
                Caching::Off => HttpCachePolicyNocache,
            },
            SecondsToLive: 0,
        };
        // SAFETY: invariants 1 and 2: `chunk`, `policy` and all that they point to outlive the
        // call, which only reads them.
        let code = unsafe {
            HttpSendHttpResponse(
                self.0,
                request.0,
                0,
                &raw const response,
                &raw const policy,
                ptr::null_mut(),
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                ptr::null(),
            )
        };
        check("HttpSendHttpResponse", code)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: invariant 1; nothing uses the handle after this.
        unsafe { CloseHandle(self.0) };
    }
}
