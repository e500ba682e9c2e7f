//! The registry, files, what is printed and logged, the control device.
use nt::driver::Request;
use nt::{File, RegistryKey, Result, Rights, Status, ValueError, WideString, log, log_refusal};
use nthost::{Options, Value};

use crate::{DEVICE, Held, LINK, SERVICE, run, run_on, run_with, without};

fn wide(text: &str) -> WideString {
    WideString::new(text).expect(text)
}

#[test]
fn a_string_has_260_units_at_most_and_is_left_alone_when_more_come() {
    run(|_| {
        let mut longest = wide(&"x".repeat(259));
        assert!(!longest.push_str("yz") && longest.units().len() == 259);
        assert!(longest.push_str("y") && !longest.push(0));
        assert!(WideString::new(&"x".repeat(261)).is_none());
        let mut text = wide("Grü");
        assert!(text.push_str("ße 😀") && text.push(0xD800));
        assert_eq!(text.to_string(), "Grüße 😀\u{FFFD}");
        assert_eq!(text.units().len(), 9);
        assert!(WideString::default().units().is_empty());
    });
}

#[test]
fn a_status_is_called_by_its_name() {
    assert_eq!(Status::NOT_FOUND.to_string(), "STATUS_NOT_FOUND");
    assert_eq!(format!("{:?}", Status::UNSUCCESSFUL), "STATUS_UNSUCCESSFUL");
}

fn parameters() -> Options {
    let text = |name: &str, text: String| (name.to_owned(), Value::String(text));
    let list = |name: &str, list: &[&str]| {
        (name.to_owned(), Value::MultiString(list.iter().map(|&text| text.into()).collect()))
    };
    let registry = vec![
        ("Number".into(), Value::Dword(0x1234_5678)),
        text("Text", "Grüße".into()),
        text("Longest", "x".repeat(260)),
        text("TooLong", "x".repeat(261)),
        text("Endless", "x".repeat(1_000)),
        list("List", &["one", "two", "drei"]),
        list("Empty", &[]),
        list("Full", &["x".repeat(8_000).as_str(), "y"]),
        list("TooFull", &["x".repeat(8_000).as_str(), &"y".repeat(300)]),
    ];
    Options { registry, ..Options::default() }
}

#[test]
fn values_are_what_the_registry_has_or_an_error_says_why_not() {
    run_on(parameters(), |passive, key| {
        assert_eq!(key.dword(passive, "number"), Ok(Some(0x1234_5678)));
        assert_eq!(key.dword(passive, "Missing"), Ok(None));
        assert_eq!(key.dword(passive, "Text"), Err(ValueError::Type));
        let string = |name| key.string(passive, name).map(|text| text.map(|text| text.to_string()));
        assert_eq!(string("Text"), Ok(Some("Grüße".into())));
        assert_eq!(string("Longest"), Ok(Some("x".repeat(260))));
        assert_eq!(string("TooLong"), Err(ValueError::Data));
        assert_eq!(string("Endless"), Err(ValueError::Data));
        assert_eq!(string("Missing"), Ok(None));
        assert_eq!(string("Number"), Err(ValueError::Type));
        let list = |name| {
            let list = key.multi_string(passive, name)?;
            let text = |units: &[u16]| String::from_utf16(units).unwrap();
            Ok(list.map(|list| list.iter().map(text).collect::<Vec<String>>()))
        };
        assert_eq!(list("List"), Ok(Some(vec!["one".into(), "two".into(), "drei".into()])));
        assert_eq!(list("Empty"), Ok(Some(vec![])));
        assert_eq!(list("Full"), Ok(Some(vec!["x".repeat(8_000), "y".into()])));
        assert_eq!(list("TooFull"), Err(ValueError::Data));
        assert_eq!(list("Missing"), Ok(None));
        assert_eq!(list("Text"), Err(ValueError::Type));
    });
}

#[test]
fn a_key_is_found_whatever_its_case_or_is_not_there() {
    run_on(parameters(), |passive, _| {
        let services = r"\Registry\Machine\System\CurrentControlSet\Services";
        let path = format!(r"{services}\{SERVICE}\Parameters");
        for path in [path.clone(), path.to_uppercase()] {
            let key = RegistryKey::open(passive, &mut wide(&path)).unwrap().expect(&path);
            assert_eq!(key.dword(passive, "Number"), Ok(Some(0x1234_5678)));
        }
        let missing = RegistryKey::open(passive, &mut wide(&format!(r"{path}\Missing")));
        assert!(missing.unwrap().is_none());
    });
}

/// Longer than two reads.
const FILE_BYTES: usize = (2 << 20) + 77;

#[test]
fn a_file_is_read_whole_or_in_part_but_not_beyond_its_end() {
    let octets: Vec<u8> = (0..FILE_BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (file, empty) = ((r"\??\C:\file".into(), octets.clone().into()), Vec::new().into());
    let files = vec![file, (r"\??\C:\empty".into(), empty)];
    run_on(Options { files, ..Options::default() }, move |passive, _| {
        for rights in [Rights::Driver, Rights::Caller] {
            let file = File::open(passive, &mut wide(r"\??\c:\FILE"), rights).unwrap();
            assert_eq!(file.len(passive), Ok(FILE_BYTES as u64));
            let mut buffer = vec![0; FILE_BYTES + 1];
            for length in [0, 1, 1 << 20, FILE_BYTES] {
                buffer.fill(0);
                file.read(passive, &mut buffer[..length]).unwrap();
                assert!(buffer[..length] == octets[..length], "{length}");
                assert!(buffer[length..].iter().all(|octet| *octet == 0), "{length}");
            }
            let beyond = file.read(passive, &mut buffer);
            assert!(beyond.is_err(), "more than there is");
        }
        let empty = File::open(passive, &mut wide(r"\??\C:\empty"), Rights::Driver).unwrap();
        assert_eq!(empty.len(passive), Ok(0));
        let missing = File::open(passive, &mut wide(r"\??\C:\missing"), Rights::Driver);
        assert_eq!(missing.map(drop).unwrap_err(), Status::OBJECT_NAME_NOT_FOUND);
    });
}

#[test]
fn what_is_printed_is_a_line_of_255_octets_at_most() {
    let check = |_: &_, _: &_| -> Result<Held> {
        log(format_args!("{} and {}", 1, "2"));
        log(format_args!("{}{}", "x".repeat(240), "y".repeat(240)));
        Ok(Box::new(()))
    };
    run_with(Options::default(), check, |host, _| {
        let lines = host.log();
        assert_eq!(lines[0], "wskhttpd: 1 and 2\n");
        assert_eq!(lines[1], format!("wskhttpd: {}{}", "x".repeat(240), "y".repeat(5)));
    });
}

#[test]
fn events_are_written_for_who_listens() {
    let severities = || [1, 5, 6, u8::MAX].map(nt::trace::is_listened_to);
    let options = Options { trace: true, ..Options::default() };
    run_on(options.clone(), move |_, _| {
        assert_eq!(severities(), [true; 4]);
        nt::trace::write(format_args!("event=Test number={}", 7));
        assert_eq!(nthost::events(), ["event=Test number=7\n"]);
    });
    assert_eq!(severities(), [false; 4], "nobody listens when the driver is gone");
    run_on(Options::default(), move |_, _| assert_eq!(severities(), [false; 4]));
    let options = Options { absent: vec!["EtwRegister".into()], ..options };
    run_on(options, move |_, _| assert_eq!(severities(), [false; 4]));
}

#[test]
fn a_refusal_is_an_entry_of_the_event_log_of_95_units_at_most() {
    let check = |_: &_, _: &_| -> Result<Held> {
        log_refusal(Status::INVALID_PARAMETER, format_args!("{} is {}", "Grüße", 7));
        log_refusal(Status::NOT_FOUND, format_args!("{}{}", "x".repeat(90), "y".repeat(90)));
        Err(Status::INVALID_PARAMETER)
    };
    run_with(Options::default(), check, |host, loaded| {
        assert_eq!(loaded, Err(Status::INVALID_PARAMETER.raw()));
        let lines = host.event_log();
        assert!(lines[0].ends_with(": Grüße is 7"), "{}", lines[0]);
        assert!(lines[1].ends_with(&format!(": {}yyyyy", "x".repeat(90))), "{}", lines[1]);
    });
}

/// Codes of the requests below: METHOD_BUFFERED, any access.
const REVERSE: u32 = 0x0022_2000;
const COUNT: u32 = 0x0022_2004;
const TOO_MUCH: u32 = 0x0022_2008;

/// Answers them.
pub(crate) fn control(request: &mut Request<'_>) -> Result<usize> {
    match request.code() {
        REVERSE => {
            let mut octets = request.input().to_vec();
            octets.reverse();
            request.output()[..octets.len()].copy_from_slice(&octets);
            Ok(octets.len())
        }
        COUNT => {
            let lengths = [request.input().len(), request.output().len()];
            // What is behind the input is nobody's secret.
            let dirty = request.output().iter().skip(lengths[0]).any(|octet| *octet != 0);
            let lengths = lengths.map(|length| u8::try_from(length).unwrap());
            request.output()[..3].copy_from_slice(&[lengths[0], lengths[1], dirty.into()]);
            Ok(3)
        }
        TOO_MUCH => Ok(request.output().len() + 100),
        _ => Err(Status::NOT_SUPPORTED),
    }
}

#[test]
fn requests_reach_the_driver_with_their_octets_and_go_back_with_its() {
    let start = |_: &_, _: &_| -> Result<Held> { Ok(Box::new(())) };
    run_with(Options::default(), start, |host, loaded| {
        assert_eq!(loaded, Ok(()));
        for name in [DEVICE, LINK] {
            let control = |code, input: &[u8], room| host.device_control(name, code, input, room);
            assert_eq!(control(REVERSE, b"abc", 8), Ok(b"cba".to_vec()));
            assert_eq!(control(COUNT, b"12345", 9), Ok(vec![5, 9, 0]));
            assert_eq!(control(COUNT, b"", 3), Ok(vec![0, 3, 0]));
            assert_eq!(control(TOO_MUCH, b"", 4).map(|octets| octets.len()), Ok(4));
            assert_eq!(control(0x0022_2100, b"", 0), Err(Status::NOT_SUPPORTED.raw()));
        }
        let sddl = host.device_sddl(DEVICE).unwrap();
        assert_eq!(sddl, "D:P(A;;GA;;;SY)(A;;GA;;;BA)");
    });
}

#[test]
fn a_device_that_cannot_be_restricted_is_none_and_a_failed_start_leaves_none() {
    let start = |_: &_, _: &_| -> Result<Held> { Ok(Box::new(())) };
    for absent in ["ObOpenObjectByPointer", "ZwSetSecurityObject"] {
        run_with(without(&[absent]), start, |host, loaded| {
            assert_eq!(loaded, Ok(()));
            assert!(host.device_control(DEVICE, REVERSE, b"", 0).is_err());
            assert!(host.log().iter().any(|line| line.contains("no control device")));
        });
    }
    let fail = |_: &_, _: &_| -> Result<Held> { Err(Status::ACCESS_DENIED) };
    run_with(Options::default(), fail, |host, loaded| {
        assert_eq!(loaded, Err(Status::ACCESS_DENIED.raw()));
        assert!(host.device_control(DEVICE, REVERSE, b"", 0).is_err());
    });
}
