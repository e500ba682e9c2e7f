//! WSK as declared here against a header nobody here wrote: Wine's `ddk/wsk.h` (Debian:
//! libwine-dev, gcc-mingw-w64-x86-64). C is compiled with the numbers that Rust has for every
//! structure, every slot of the tables, every constant and every function pointer; a number that
//! differs is an error of the compiler. Where headers or compiler are missing the test says so.
#![cfg(not(windows))]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nt_sys::wsk::*;

/// Where Debian puts Wine's headers; `WINE_INCLUDE` says otherwise.
const WINE_INCLUDE: &str = "/usr/include/wine/wine/windows";

/// Names of ours that the header does not have. Wine 8.0 implements no event callbacks and no
/// flags; these stand on Microsoft's documentation alone.
const ABSENT: [&str; 17] = [
    "SIO_WSK_QUERY_INSPECT_ID",
    "SO_WSK_EVENT_CALLBACK",
    "WSK_EVENT_ACCEPT",
    "WSK_EVENT_DISABLE",
    "WSK_EVENT_DISCONNECT",
    "WSK_EVENT_RECEIVE",
    "WSK_EVENT_SEND_BACKLOG",
    "WSK_FLAG_ABORTIVE",
    "WSK_FLAG_AT_DISPATCH_LEVEL",
    "WSK_FLAG_DRAIN",
    "WSK_FLAG_ENTIRE_MESSAGE",
    "WSK_FLAG_NODELAY",
    "WSK_FLAG_RELEASE_ASAP",
    "WSK_FLAG_WAITALL",
    "WSK_SET_STATIC_EVENT_CALLBACKS",
    "NPI_WSK_INTERFACE_ID",
    "WskInspectPend",
];

const PREAMBLE: &str = "#include <stddef.h>\n#include <ntstatus.h>\n#define WIN32_NO_STATUS\n\
    #include <windef.h>\n#include <winternl.h>\n#include <ddk/wdm.h>\n#include <ddk/wsk.h>\n\
    #include <ws2ipdef.h>\n";

/// Octets of a structure and the offsets of its fields.
macro_rules! structure {
    ($c:ident, $name:ident { $($field:ident),* $(,)? }) => {{
        size_of_is($c, stringify!($name), size_of::<$name>());
        structure!(@fields $c, $name { $($field),* });
    }};
    // A table that grows at its end from version to version.
    (prefix $c:ident, $name:ident { $($field:ident),* $(,)? }) => {
        structure!(@fields $c, $name { $($field),* });
    };
    (@fields $c:ident, $name:ident { $($field:ident),* }) => {
        $(assertion($c, &format!(
            "offsetof({}, {}) == {}",
            stringify!($name), stringify!($field), core::mem::offset_of!($name, $field)
        ));)*
    };
}

/// Macros with a value; where the header has none, the compiler warns with the name.
macro_rules! macros {
    ($c:ident: $($name:ident)*) => { $(
        let _ = writeln!(
            $c, "#ifdef {0}\n_Static_assert((unsigned)({0}) == {1}u, \"{0}\");\n#else\n\
            #warning absent={0}=\n#endif", stringify!($name), u32::from($name)
        );
    )* };
}

/// Arguments of a function pointer and octets of its result.
trait Signature {
    const ARGUMENTS: usize;
    const RESULT: usize;
}

macro_rules! signature {
    ($($n:literal: $($a:ident)*;)*) => { $(
        impl<R, $($a),*> Signature for Option<unsafe extern "win64" fn($($a),*) -> R> {
            const ARGUMENTS: usize = $n;
            const RESULT: usize = size_of::<R>();
        }
    )* };
}
signature! {
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    7: A B C D E F G;
    8: A B C D E F G H;
    10: A B C D E F G H I J;
    11: A B C D E F G H I J K;
}

/// A call with as many zeros as there are arguments: compiles for that number only.
macro_rules! functions {
    ($c:ident: $($ours:ident = $theirs:ident)*) => { $(
        let zeros = vec!["0"; <$ours as Signature>::ARGUMENTS].join(", ");
        let result = <$ours as Signature>::RESULT;
        assertion($c, &format!("sizeof((({})0)({zeros})) == {result}", stringify!($theirs)));
    )* };
}

fn assertion(c: &mut String, condition: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(c, "_Static_assert({condition}, \"\");");
}

fn size_of_is(c: &mut String, name: &str, octets: usize) {
    assertion(c, &format!("sizeof({name}) == {octets}"));
}

fn structures(c: &mut String) {
    structure!(c, SOCKADDR_IN6 { sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id });
    structure!(c, WSK_CLIENT_DISPATCH { Version, Reserved, WskClientEvent });
    structure!(c, WSK_CLIENT_NPI { ClientContext, Dispatch });
    structure!(
        c,
        WSK_REGISTRATION {
            ReservedRegistrationState,
            ReservedRegistrationContext,
            ReservedRegistrationLock
        }
    );
    structure!(c, WSK_PROVIDER_NPI { Client, Dispatch });
    structure!(c, WSK_SOCKET { Dispatch });
    structure!(c, WSK_BUF { Mdl, Offset, Length });
    structure!(c, WSK_DATA_INDICATION { Next, Buffer });
    structure!(c, WSK_INSPECT_ID { Key, SerialNumber });
    structure!(
        c,
        WSK_PROVIDER_DISPATCH {
            Version,
            Reserved,
            WskSocket,
            WskSocketConnect,
            WskControlClient,
            WskGetAddressInfo,
            WskFreeAddressInfo,
            WskGetNameInfo
        }
    );
    structure!(c, WSK_PROVIDER_BASIC_DISPATCH { WskControlSocket, WskCloseSocket });
    structure!(
        c,
        WSK_PROVIDER_LISTEN_DISPATCH {
            Basic,
            WskBind,
            WskAccept,
            WskInspectComplete,
            WskGetLocalAddress
        }
    );
    // Wine's has two reserved slots more, of version 1.1.
    structure!(prefix c, WSK_PROVIDER_CONNECTION_DISPATCH {
        Basic, WskBind, WskConnect, WskGetLocalAddress, WskGetRemoteAddress, WskSend, WskReceive,
        WskDisconnect, WskRelease, WskConnectEx
    });
    structure!(c, WSK_CLIENT_LISTEN_DISPATCH { WskAcceptEvent, WskInspectEvent, WskAbortEvent });
    structure!(
        c,
        WSK_CLIENT_CONNECTION_DISPATCH { WskReceiveEvent, WskDisconnectEvent, WskSendBacklogEvent }
    );
}

fn constants(c: &mut String) {
    macros!(c:
        WSK_NO_WAIT WSK_INFINITE_WAIT WSK_FLAG_LISTEN_SOCKET WSK_FLAG_ABORTIVE
        WSK_FLAG_RELEASE_ASAP WSK_FLAG_ENTIRE_MESSAGE WSK_FLAG_AT_DISPATCH_LEVEL WSK_FLAG_NODELAY
        WSK_FLAG_WAITALL WSK_FLAG_DRAIN WSK_EVENT_SEND_BACKLOG WSK_EVENT_RECEIVE
        WSK_EVENT_DISCONNECT WSK_EVENT_ACCEPT WSK_EVENT_DISABLE WSK_SET_STATIC_EVENT_CALLBACKS
        SO_WSK_EVENT_CALLBACK SIO_WSK_QUERY_INSPECT_ID SOL_SOCKET SO_EXCLUSIVEADDRUSE
        SO_CONDITIONAL_ACCEPT IPV6_V6ONLY AF_INET AF_INET6 SOCK_STREAM
    );
    // Enumerators, which no #ifdef sees.
    for (name, value) in [
        ("IPPROTO_TCP", i64::from(IPPROTO_TCP)),
        ("IPPROTO_IPV6", i64::from(IPPROTO_IPV6)),
        ("WskSetOption", i64::from(WskSetOption)),
        ("WskGetOption", i64::from(WskGetOption)),
        ("WskIoctl", i64::from(WskIoctl)),
        ("WskInspectReject", i64::from(WskInspectReject)),
        ("WskInspectAccept", i64::from(WskInspectAccept)),
        ("MAKE_WSK_VERSION(1, 2)", i64::from(MAKE_WSK_VERSION(1, 2))),
    ] {
        assertion(c, &format!("{name} == {value}"));
    }
}

fn signatures(c: &mut String) {
    functions!(c:
        PFN_WSK_SOCKET = PFN_WSK_SOCKET
        PFN_WSK_CONTROL_CLIENT = PFN_WSK_CONTROL_CLIENT
        PFN_WSK_CONTROL_SOCKET = PFN_WSK_CONTROL_SOCKET
        PFN_WSK_CLOSE_SOCKET = PFN_WSK_CLOSE_SOCKET
        PFN_WSK_BIND = PFN_WSK_BIND
        PFN_WSK_ACCEPT = PFN_WSK_ACCEPT
        PFN_WSK_INSPECT_COMPLETE = PFN_WSK_INSPECT_COMPLETE
        PFN_WSK_GET_ADDRESS = PFN_WSK_GET_LOCAL_ADDRESS
        PFN_WSK_GET_ADDRESS = PFN_WSK_GET_REMOTE_ADDRESS
        PFN_WSK_TRANSFER = PFN_WSK_SEND
        PFN_WSK_TRANSFER = PFN_WSK_RECEIVE
        PFN_WSK_TRANSFER = PFN_WSK_DISCONNECT
        PFN_WSK_RELEASE = PFN_WSK_RELEASE_DATA_INDICATION_LIST
        PFN_WSK_ACCEPT_EVENT = PFN_WSK_ACCEPT_EVENT
        PFN_WSK_INSPECT_EVENT = PFN_WSK_INSPECT_EVENT
        PFN_WSK_ABORT_EVENT = PFN_WSK_ABORT_EVENT
        PFN_WSK_RECEIVE_EVENT = PFN_WSK_RECEIVE_EVENT
        PFN_WSK_DISCONNECT_EVENT = PFN_WSK_DISCONNECT_EVENT
        PFN_WSK_SEND_BACKLOG_EVENT = PFN_WSK_SEND_BACKLOG_EVENT
    );
}

/// Compiles; gives what the compiler said, or why it could not be asked.
fn compile(headers: &Path, source: &str) -> Result<(bool, String), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("wsk.c");
    std::fs::write(&file, source).map_err(|error| error.to_string())?;
    let compiler = "x86_64-w64-mingw32-gcc";
    let mut gcc = Command::new(compiler);
    gcc.args(["-std=gnu11", "-fsyntax-only", "-isystem"]).arg(headers).arg(&file);
    let output = gcc.output().map_err(|error| format!("{compiler}: {error}"))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn wsk_is_declared_as_in_the_header_of_wine() {
    let headers =
        PathBuf::from(std::env::var_os("WINE_INCLUDE").unwrap_or_else(|| WINE_INCLUDE.into()));
    if !headers.join("ddk/wsk.h").is_file() {
        println!("skipped: no ddk/wsk.h in {} (libwine-dev)", headers.display());
        return;
    }
    let mut source = PREAMBLE.to_owned();
    structures(&mut source);
    constants(&mut source);
    signatures(&mut source);
    let (compiled, said) = match compile(&headers, &source) {
        Ok(result) => result,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    assert!(compiled, "{said}");
    let absent: BTreeSet<_> = said
        .lines()
        .filter_map(|line| line.split("#warning absent=").nth(1)?.split('=').next())
        .collect();
    let known: BTreeSet<_> = ABSENT.iter().copied().collect();
    let unknown: Vec<_> = absent.difference(&known).collect();
    assert!(unknown.is_empty(), "not compared, and not listed as such: {unknown:?}");
    // The comparison can fail.
    let wrong = format!("{PREAMBLE}_Static_assert(sizeof(WSK_BUF) == 23, \"\");\n");
    let (compiled, said) = compile(&headers, &wrong).expect("it ran just now");
    assert!(!compiled && said.contains("static assertion failed"), "{said}");
}
