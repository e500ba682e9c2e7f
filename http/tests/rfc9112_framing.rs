//! RFC 9112 sections 6 and 7, framing: a row for each requirement or decision, named after its
//! section.
#![allow(missing_docs)]

mod feed;

use feed::{
    Event, accepted, chunked, content_rejection, feed_both, get, get_with, rejection,
    rejection_within, request,
};
use http1::{Framing, Limits, Reason, Status};

/// Each stream is answered by one rejection and nothing else.
macro_rules! rejected {
    ($($name:ident: $stream:expr => $status:ident $reason:ident;)*) => { $(
        #[test]
        fn $name() {
            assert_eq!(rejection($stream.as_ref()), (Status::$status, Reason::$reason));
        }
    )* };
}

/// The content of each stream is broken, after a request that is not.
macro_rules! content_rejected {
    ($($name:ident: $stream:expr => $status:ident $reason:ident;)*) => { $(
        #[test]
        fn $name() {
            let answer = content_rejection(Limits::DEFAULT, $stream.as_ref());
            assert_eq!(answer, (Status::$status, Reason::$reason));
        }
    )* };
}

rejected! {
    s9112_6_1_unknown_coding_is_501:
        get_with("Transfer-Encoding: gzip, chunked") => NotImplemented NotImplemented;
    s9112_6_1_unknown_coding_over_two_lines_is_501:
        get_with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked")
            => NotImplemented NotImplemented;
    s9112_6_1_te_in_1_0_is_400:
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" => BadRequest Header;
    s9112_6_3_te_and_cl_is_400_and_close:
        get_with("Content-Length: 4\r\nTransfer-Encoding: chunked") => BadRequest Header;
    s9112_6_3_te_and_cl_zero_is_400_and_close:
        get_with("Transfer-Encoding: chunked\r\nContent-Length: 0") => BadRequest Header;
    s9112_6_3_chunked_not_last_is_400:
        get_with("Transfer-Encoding: chunked, gzip") => BadRequest Header;
    s9112_6_3_chunked_not_last_over_two_lines_is_400:
        get_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip") => BadRequest Header;
    s9112_6_3_chunked_absent_is_400: get_with("Transfer-Encoding: gzip") => BadRequest Header;
    s9112_6_3_chunked_twice_is_400:
        get_with("Transfer-Encoding: chunked, chunked") => BadRequest Header;
    s9112_6_3_chunked_twice_over_two_lines_is_400:
        get_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")
            => BadRequest Header;
    s9112_6_3_chunked_with_parameter_is_400:
        get_with("Transfer-Encoding: chunked;q=1") => BadRequest Header;
    s9112_6_3_empty_te_is_400: get_with("Transfer-Encoding:") => BadRequest Header;
    s9112_6_3_identity_is_400: get_with("Transfer-Encoding: identity") => BadRequest Header;
    s9112_6_3_bad_length_is_400: get_with("Content-Length: abc") => BadRequest Number;
    s9112_6_3_empty_length_is_400: get_with("Content-Length:") => BadRequest Number;
    s9112_6_3_length_with_sign_is_400: get_with("Content-Length: +5") => BadRequest Number;
    s9112_6_3_length_below_zero_is_400: get_with("Content-Length: -5") => BadRequest Number;
    s9112_6_3_length_with_space_inside_is_400: get_with("Content-Length: 5 5") => BadRequest Number;
    s9112_6_3_length_in_hexadecimal_is_400: get_with("Content-Length: 0x5") => BadRequest Number;
    s9112_6_3_length_with_underscore_is_400: get_with("Content-Length: 1_0") => BadRequest Number;
    s9112_6_3_length_with_fraction_is_400: get_with("Content-Length: 5.0") => BadRequest Number;
    s9112_6_3_two_lengths_is_400:
        get_with("Content-Length: 5\r\nContent-Length: 6") => BadRequest Number;
    s9112_6_3_two_equal_lengths_is_400:
        get_with("Content-Length: 5\r\nContent-Length: 5") => BadRequest Number;
    s9112_6_3_list_of_lengths_is_400: get_with("Content-Length: 5, 5") => BadRequest Number;
    s9112_6_3_length_over_64_bits_is_400:
        get_with("Content-Length: 18446744073709551616") => BadRequest Number;
}

#[test]
fn s9112_6_2_content_is_discarded_up_to_its_length() {
    let stream =
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\r\n\0GGET / HTTP/1.0\r\n\r\n";
    let events = feed_both(Limits::DEFAULT, stream);
    assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd, Event::Request(_)]));
}

#[test]
fn s9112_6_3_length_zero_is_no_content() {
    for value in ["0", "000"] {
        let asked = request(&get_with(&format!("Content-Length: {value}")));
        assert_eq!(asked.framing, Framing::None);
    }
}

/// The most that 64 bits hold is a number, and far over the limit (CVE-2015-1635's number).
#[test]
fn s9112_6_3_length_of_64_bits_is_413() {
    for length in ["18446744073709551615", "018446744073709551615"] {
        let answer = rejection(&get_with(&format!("Content-Length: {length}")));
        assert_eq!(answer, (Status::ContentTooLarge, Reason::EntityTooLarge));
    }
}

#[test]
fn s9112_6_3_length_is_bounded() {
    let limits = Limits { content_bytes_max: 5, ..Limits::DEFAULT };
    let stream = |length: u64| get_with(&format!("Content-Length: {length}"));
    assert_eq!(accepted(limits, &stream(5)), (1, 0));
    for length in [6, u64::MAX] {
        let answer = rejection_within(limits, &stream(length));
        assert_eq!(answer, (Status::ContentTooLarge, Reason::EntityTooLarge));
    }
}

#[test]
fn s9112_6_3_get_with_content_is_framed_like_any_other() {
    let mut stream = get_with("Content-Length: 3");
    stream.extend_from_slice(b"abc");
    stream.extend_from_slice(&get("/b"));
    assert_eq!(accepted(Limits::DEFAULT, &stream), (2, 1));
}

#[test]
fn s9112_7_1_chunked_content_is_discarded() {
    for content in [
        "0\r\n\r\n",
        "1\r\na\r\n0\r\n\r\n",
        "a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n",
        "0000000000000001\r\na\r\n0\r\n\r\n",
        "2;a=b;c=\"d;e\\\"f\"\r\n\r\n\r\n0 ;x\r\n\r\n",
        "1;\ta\r\nx\r\n0\r\n\r\n",
        "1 \t ;a\r\nx\r\n0\r\n\r\n",
        "0\r\nA: b\r\nC:\r\n\r\n",
        "0\r\nA:\tb\u{e9} c \r\n\r\n",
    ] {
        let mut stream = chunked(content);
        stream.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
        let events = feed_both(Limits::DEFAULT, &stream);
        assert!(
            matches!(
                events.as_slice(),
                [Event::Request(first), Event::ContentEnd, Event::Request(_)]
                    if first.framing == Framing::Chunked
            ),
            "{content:?}: {events:?}"
        );
    }
}

#[test]
fn s9112_7_coding_names_are_case_insensitive_and_empty_members_are_none() {
    for value in ["Chunked", "CHUNKED", ", chunked ,", "\tchunked\t"] {
        let asked = request(&get_with(&format!("Transfer-Encoding: {value}")));
        assert_eq!(asked.framing, Framing::Chunked, "{value:?}");
    }
}

content_rejected! {
    s9112_7_1_chunk_size_0x_is_400: chunked("0x1\r\na\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_sign_is_400: chunked("+1\r\na\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_minus_is_400: chunked("-1\r\na\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_underscore_is_400: chunked("1_0\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_leading_space_is_400: chunked(" 1\r\na\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_trailing_space_is_400: chunked("1 \r\na\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_letter_is_400: chunked("g\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_missing_is_400: chunked("\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_missing_before_extension_is_400:
        chunked(";a\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_size_of_17_digits_is_400:
        chunked("00000000000000001\r\na\r\n") => BadRequest Number;
    s9112_7_1_chunk_size_overflow_is_400: chunked("10000000000000000\r\n") => BadRequest Number;
    s9112_7_1_chunk_size_of_64_bits_is_413:
        chunked("ffffffffffffffff\r\n") => ContentTooLarge EntityTooLarge;
    s9112_7_1_sum_of_chunk_sizes_does_not_wrap:
        chunked("1\r\na\r\nffffffffffffffff\r\n") => ContentTooLarge EntityTooLarge;
    s9112_7_1_bare_lf_behind_chunk_size_is_400: chunked("1\na\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_bare_lf_for_chunk_size_is_400: chunked("\n") => BadRequest InvalidCrLf;
    s9112_7_1_bare_cr_behind_chunk_size_is_400: chunked("1\ra\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_chunk_longer_than_its_size_is_400:
        chunked("1\r\nab\r\n") => BadRequest BadRequest;
    s9112_7_1_chunk_ended_by_lf_is_400: chunked("1\r\na\n") => BadRequest BadRequest;
    s9112_7_1_chunk_ended_by_cr_is_400: chunked("1\r\na\r0") => BadRequest InvalidCrLf;
    s9112_7_1_1_bare_lf_in_extension_is_400: chunked("1;a\nx\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_1_bare_cr_in_extension_is_400: chunked("1;a\rx\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_1_bare_lf_for_extension_is_400: chunked("1;\n\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_1_cr_cr_lf_behind_extension_is_400:
        chunked("1;a\r\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_1_control_in_extension_is_400: chunked("1;a\0\r\n") => BadRequest BadRequest;
    s9112_7_1_1_delete_in_extension_is_400: chunked("1;a\x7f\r\n") => BadRequest BadRequest;
    s9112_7_1_2_bare_lf_in_trailer_is_400: chunked("0\r\nA: b\n\r\n") => BadRequest InvalidCrLf;
    s9112_7_1_2_bare_lf_for_trailer_is_400: chunked("0\r\n\n") => BadRequest InvalidCrLf;
    s9112_7_1_2_bare_cr_in_trailer_is_400: chunked("0\r\nA: b\rc") => BadRequest InvalidCrLf;
    s9112_7_1_2_bare_cr_for_trailer_is_400: chunked("0\r\n\rc") => BadRequest InvalidCrLf;
    s9112_7_1_2_trailer_without_colon_is_400: chunked("0\r\nA\r\n\r\n") => BadRequest Header;
    s9112_7_1_2_trailer_with_space_before_colon_is_400:
        chunked("0\r\nA : b\r\n\r\n") => BadRequest Header;
    s9112_7_1_2_trailer_without_name_is_400: chunked("0\r\n: b\r\n\r\n") => BadRequest Header;
    s9112_7_1_2_request_for_a_trailer_is_400:
        chunked("0\r\nGET /b HTTP/1.1\r\n") => BadRequest Header;
    s9112_7_1_2_folded_trailer_is_400: chunked("0\r\nA: b\r\n c\r\n\r\n") => BadRequest Header;
    s9112_7_1_2_nul_in_trailer_is_400: chunked("0\r\nA: \0\r\n\r\n") => BadRequest Header;
}

#[test]
fn s9112_7_1_chunked_content_is_bounded_by_the_sum_of_its_chunks() {
    let limits = Limits { content_bytes_max: 3, ..Limits::DEFAULT };
    let inside = chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");
    assert_eq!(accepted(limits, &inside), (1, 1));
    let over = chunked("1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n");
    let answer = content_rejection(limits, &over);
    assert_eq!(answer, (Status::ContentTooLarge, Reason::EntityTooLarge));
}

/// Octets behind the size, of all chunks together: as many as a head may have.
#[test]
fn s9112_7_1_1_extensions_are_bounded_over_all_chunks() {
    let limits = Limits { head_bytes_max: 80, ..Limits::DEFAULT };
    // `;` is found behind the size and costs nothing, the CR does.
    let content =
        |last: &str| chunked(&format!("{}1;{last}\r\na\r\n", "1;1234567\r\na\r\n".repeat(9)));
    let head_bytes = chunked("").len();
    assert!(head_bytes <= limits.head_bytes_max, "{head_bytes}");
    let inside = [content("1234567"), b"0\r\n".to_vec()].concat();
    assert!(matches!(feed_both(limits, &inside).as_slice(), [Event::Request(_)]));
    let answer = content_rejection(limits, &content("12345678"));
    assert_eq!(answer, (Status::ContentTooLarge, Reason::EntityTooLarge));
}

#[test]
fn s9112_7_1_2_trailers_are_bounded() {
    let trailers = |octets: usize| chunked(&format!("0\r\nA:{}\r\n\r\n", "x".repeat(octets)));
    // Name, colon, value, CR, and the CR of the empty line.
    let most = Limits::DEFAULT.head_bytes_max - 4;
    assert_eq!(accepted(Limits::DEFAULT, &trailers(most)), (1, 1));
    let answer = content_rejection(Limits::DEFAULT, &trailers(most + 1));
    assert_eq!(answer, (Status::FieldsTooLarge, Reason::FieldLength));
}

/// What a caller gets who does not choose, with chunks and extensions as they come.
#[test]
fn s9112_7_1_1_extensions_of_16_kib_are_skipped() {
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(1000));
    let inside = chunked(&format!("{}0\r\n\r\n", chunk.repeat(16)));
    assert_eq!(accepted(Limits::DEFAULT, &inside), (1, 1));
    let answer = content_rejection(Limits::DEFAULT, &chunked(&chunk.repeat(17)));
    assert_eq!(answer, (Status::ContentTooLarge, Reason::EntityTooLarge));
}
