//! Conditional requests (RFC 9110 section 13), a row for each requirement or decision.
#![allow(missing_docs)]

mod feed;

use feed::{NOW, get_with};
use http1::{Connection, Limits, Method, Step, Validators, Verdict};

use Verdict::{Full, NotModified, PreconditionFailed};

const TAG: &[u8] = b"\"a,b\"";
const MODIFIED: u64 = 784_111_777;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn evaluate_with(fields: &str, method: Method, validators: &Validators<'_>) -> Verdict {
    let stream = get_with(fields);
    match Connection::new().receive(&Limits::DEFAULT, &stream) {
        Step::Request { request, .. } => request.selectors.evaluate(method, validators, NOW),
        other => panic!("{}: {other:?}", stream.escape_ascii()),
    }
}

fn evaluate(fields: &str) -> Verdict {
    let validators = Validators { entity_tag: TAG, last_modified: Some(MODIFIED) };
    evaluate_with(fields, Method::Get, &validators)
}

#[test]
fn a_request_that_selects_nothing_says_so() {
    for (fields, is_empty) in [
        ("A: b", true),
        ("Accept: */*\r\nIf: x\r\nRanges: bytes=0-0\r\nIf-None: *", true),
        ("Accept-Encoding: br", false),
        ("If-Match: *", false),
        ("If-Modified-Since: x", false),
        ("If-None-Match: *", false),
        ("If-Range: x", false),
        ("If-Unmodified-Since: x", false),
        ("RANGE:x", false),
    ] {
        let stream = get_with(fields);
        match Connection::new().receive(&Limits::DEFAULT, &stream) {
            Step::Request { request, .. } => {
                assert_eq!(request.selectors.is_empty(), is_empty, "{fields}");
            }
            other => panic!("{fields}: {other:?}"),
        }
    }
}

#[test]
fn s9110_13_no_condition_selects_the_representation() {
    assert_eq!(evaluate("A: b"), Full);
    assert_eq!(evaluate("If-Range: \"x\""), Full, "a condition on Range only");
}

#[test]
fn s9110_13_1_1_if_match_compares_strongly() {
    for (value, verdict) in [
        ("\"a,b\"", Full),
        ("\"x\", \"a,b\"", Full),
        ("W/\"a,b\", \"a,b\"", Full),
        (", ,\"a,b\" ,", Full),
        ("*", Full),
        ("\t*\t", Full),
        ("W/\"a,b\"", PreconditionFailed),
        ("\"x\"", PreconditionFailed),
        ("\"a\"", PreconditionFailed),
        ("a,b", PreconditionFailed),
        ("\"x\", *", PreconditionFailed),
        ("*, \"x\"", PreconditionFailed),
        ("\"a,b\"x", PreconditionFailed),
        ("", PreconditionFailed),
    ] {
        assert_eq!(evaluate(&format!("If-Match: {value}")), verdict, "{value}");
    }
}

#[test]
fn s9110_13_1_1_weak_tag_of_ours_or_none_matches_only_the_asterisk() {
    for entity_tag in [&b"W/\"v\""[..], b""] {
        let validators = Validators { entity_tag, last_modified: None };
        for (value, verdict) in [
            ("\"v\"", PreconditionFailed),
            ("W/\"v\"", PreconditionFailed),
            ("\"\"", PreconditionFailed),
            ("*", Full),
        ] {
            let field = format!("If-Match: {value}");
            assert_eq!(evaluate_with(&field, Method::Get, &validators), verdict, "{value}");
        }
    }
}

#[test]
fn s9110_13_1_2_if_none_match_compares_weakly() {
    for (value, verdict) in [
        ("\"a,b\"", NotModified),
        ("W/\"a,b\"", NotModified),
        ("\"x\", \"a,b\"", NotModified),
        ("\"x\",W/\"y\" , W/\"a,b\",\"z\"", NotModified),
        (", ,\"a,b\",", NotModified),
        ("*", NotModified),
        ("\t*\t", NotModified),
        ("\"x\"", Full),
        ("\"A,B\"", Full),
        ("a,b", Full),
        ("w/\"a,b\"", Full),
        ("\"a,b", Full),
        ("\"\"", Full),
        ("\"x\" \"a,b\"", Full),
        ("\"a,b\" \"x\"", Full),
        ("\"x\", *", Full),
        ("*, \"x\"", Full),
        ("", Full),
        (",", Full),
        ("W/", Full),
        ("\"x, \"a,b\"", Full),
    ] {
        assert_eq!(evaluate(&format!("If-None-Match: {value}")), verdict, "{value}");
    }
}

#[test]
fn s9110_13_1_2_weak_tag_of_ours_matches_weakly() {
    let validators = Validators { entity_tag: b"W/\"v\"", last_modified: None };
    for value in ["\"v\"", "W/\"v\""] {
        let verdict = evaluate_with(&format!("If-None-Match: {value}"), Method::Get, &validators);
        assert_eq!(verdict, NotModified);
    }
}

#[test]
fn s9110_13_1_2_without_a_tag_only_the_asterisk_matches() {
    let validators = Validators { entity_tag: b"", last_modified: Some(MODIFIED) };
    let verdict =
        |value: &str| evaluate_with(&format!("If-None-Match: {value}"), Method::Get, &validators);
    assert_eq!(verdict("\"\""), Full);
    assert_eq!(verdict("*"), NotModified);
}

#[test]
fn s9110_5_3_lines_of_entity_tags_are_one_list() {
    for lines in 0..40 {
        let none_match = "If-None-Match: \"x\"\r\n".repeat(lines);
        assert_eq!(evaluate(&format!("{none_match}if-none-MATCH:\"a,b\"")), NotModified, "{lines}");
        assert_eq!(evaluate(&format!("If-None-Match: \"a,b\"\r\n{none_match}A: b")), NotModified);
        let matches = "If-Match: \"x\"\r\n".repeat(lines);
        assert_eq!(evaluate(&format!("{matches}IF-MATCH:\"a,b\"")), Full, "{lines}");
    }
    // The asterisk stands for itself alone.
    assert_eq!(evaluate("If-None-Match: *\r\nIf-None-Match: \"x\""), Full);
    assert_eq!(evaluate("If-Match: *\r\nIf-Match: \"x\""), PreconditionFailed);
    // A name that only begins alike is another field.
    assert_eq!(evaluate("If-None-Matched: *\r\nX-If-None-Match: *"), Full);
}

#[test]
fn s9110_13_1_3_if_modified_since() {
    for (value, verdict) in [
        (DATE, NotModified),
        (AFTER, NotModified),
        (BEFORE, Full),
        ("Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
        ("Sun Nov  6 08:49:37 1994", NotModified),
        ("yesterday", Full),
        ("", Full),
    ] {
        assert_eq!(evaluate(&format!("If-Modified-Since: {value}")), verdict, "{value}");
    }
}

#[test]
fn s9110_13_1_4_if_unmodified_since() {
    for (value, verdict) in [
        (DATE, Full),
        (AFTER, Full),
        (BEFORE, PreconditionFailed),
        ("Sunday, 06-Nov-94 08:49:36 GMT", PreconditionFailed),
        ("Sun Nov  6 08:49:36 1994", PreconditionFailed),
        ("yesterday", Full),
        ("", Full),
    ] {
        assert_eq!(evaluate(&format!("If-Unmodified-Since: {value}")), verdict, "{value}");
    }
}

#[test]
fn s9110_13_1_3_and_4_two_dates_are_none() {
    let since = format!("If-Modified-Since: {DATE}");
    assert_eq!(evaluate(&format!("{since}\r\n{since}")), Full);
    let since = format!("If-Unmodified-Since: {BEFORE}");
    assert_eq!(evaluate(&format!("{since}\r\n{since}")), Full);
}

#[test]
fn s9110_13_1_3_and_4_without_a_modification_date_there_is_no_condition() {
    let validators = Validators { entity_tag: TAG, last_modified: None };
    for field in [format!("If-Modified-Since: {DATE}"), format!("If-Unmodified-Since: {BEFORE}")] {
        assert_eq!(evaluate_with(&field, Method::Get, &validators), Full, "{field}");
    }
}

#[test]
fn s9110_13_2_2_order_of_evaluation() {
    let [same, other] = ["\"a,b\"", "\"x\""];
    let rows: &[(&[(&str, &str)], Verdict)] = &[
        // Step 1: If-Match fails before anything else is looked at.
        (&[("If-Match", other), ("If-None-Match", same)], PreconditionFailed),
        (&[("If-None-Match", same), ("If-Match", other)], PreconditionFailed),
        (&[("If-Match", other), ("If-Modified-Since", DATE)], PreconditionFailed),
        // Step 2: If-Unmodified-Since is silenced by If-Match, even by one that is garbage.
        (&[("If-Match", same), ("If-Unmodified-Since", BEFORE)], Full),
        (&[("If-Match", "garbage"), ("If-Unmodified-Since", AFTER)], PreconditionFailed),
        (&[("If-Unmodified-Since", BEFORE), ("If-None-Match", same)], PreconditionFailed),
        (&[("If-Unmodified-Since", BEFORE), ("If-Modified-Since", DATE)], PreconditionFailed),
        // Step 3: what holds so far leads on to If-None-Match.
        (&[("If-Match", same), ("If-None-Match", same)], NotModified),
        (&[("If-Match", "*"), ("If-None-Match", "*")], NotModified),
        (&[("If-Unmodified-Since", DATE), ("If-None-Match", same)], NotModified),
        // Step 4: If-Modified-Since is silenced by If-None-Match, even by one that is garbage.
        (&[("If-Modified-Since", DATE), ("If-None-Match", other)], Full),
        (&[("If-Modified-Since", DATE), ("If-None-Match", "garbage")], Full),
        (&[("If-Modified-Since", BEFORE), ("If-None-Match", same)], NotModified),
        (&[("If-Match", same), ("If-Modified-Since", DATE)], NotModified),
        (&[("If-Unmodified-Since", DATE), ("If-Modified-Since", DATE)], NotModified),
        (&[("If-Match", same), ("If-Modified-Since", BEFORE)], Full),
    ];
    for (fields, verdict) in rows {
        let lines: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(evaluate(&lines.join("\r\n")), *verdict, "{fields:?}");
    }
}

#[test]
fn s9110_13_2_1_conditions_select_for_get_and_head_alone() {
    let validators = Validators { entity_tag: TAG, last_modified: Some(MODIFIED) };
    for (field, of_get) in [
        ("If-None-Match: *".to_owned(), NotModified),
        (format!("If-Modified-Since: {DATE}"), NotModified),
        ("If-Match: \"x\"".to_owned(), PreconditionFailed),
        (format!("If-Unmodified-Since: {BEFORE}"), PreconditionFailed),
    ] {
        for (method, verdict) in [
            (Method::Get, of_get),
            (Method::Head, of_get),
            (Method::Options, Full),
            (Method::Post, Full),
            (Method::Trace, Full),
            (Method::Other, Full),
        ] {
            assert_eq!(evaluate_with(&field, method, &validators), verdict, "{field} {method:?}");
        }
    }
}
