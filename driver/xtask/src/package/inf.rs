//! The INF, made from `inf/wskhttpd.inx`.

use anyhow::{Result, bail, ensure};
use http1::date::ImfFixdate;

/// The workspace's version with a fourth part, which DriverVer has.
pub(super) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR"),
    ".",
    env!("CARGO_PKG_VERSION_PATCH"),
    ".0"
);
const ARCHITECTURE: &str = "amd64";
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The day of `seconds` since 1970, in UTC, as DriverVer has it: mm/dd/yyyy.
pub(super) fn date(seconds: u64) -> String {
    let date = String::from_utf8_lossy(ImfFixdate::from_unix(seconds).as_bytes()).into_owned();
    // Sun, 06 Nov 1994 08:49:37 GMT
    let (day, month, year) = (&date[5..7], &date[8..11], &date[12..16]);
    let month = (1..).zip(MONTHS).find_map(|(n, name)| (name == month).then_some(n)).unwrap_or(0);
    format!("{month:02}/{day}/{year}")
}

/// Fills in the architecture and DriverVer, and ends lines as Windows does.
pub(super) fn stamp(inx: &str, date: &str, version: &str) -> Result<String> {
    let mut inf = String::new();
    let (mut stamps, mut architectures) = (0, 0);
    for (number, line) in (1..).zip(inx.lines()) {
        ensure!(line.is_ascii(), "line {number} is not ASCII: {line}");
        let mut line = line.to_owned();
        if !line.starts_with(';') {
            architectures += line.matches("$ARCH$").count();
            line = line.replace("$ARCH$", ARCHITECTURE);
            if let Some((key, value)) = line.split_once('=')
                && key.trim() == "DriverVer"
            {
                ensure!(value.trim().is_empty(), "line {number}: DriverVer has a value");
                line = format!("{key}= {date},{version}");
                stamps += 1;
            }
        }
        inf.push_str(&line);
        inf.push_str("\r\n");
    }
    match (stamps, architectures) {
        (1, 1..) => Ok(inf),
        (1, 0) => bail!("no $ARCH$ to fill in"),
        _ => bail!("{stamps} lines with DriverVer instead of one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INX: &str =
        "; $ARCH$\n[Version]\nDriverVer   =\n[DefaultInstall.NT$ARCH$]\n\n[A.NT$ARCH$.B]\n";

    #[test]
    fn days_are_written_month_first() {
        for (seconds, expected) in [
            (0, "01/01/1970"),
            (784_111_777, "11/06/1994"),
            (951_782_399, "02/28/2000"),
            (951_782_400, "02/29/2000"),
            (1_798_761_599, "12/31/2026"),
            (1_798_761_600, "01/01/2027"),
        ] {
            assert_eq!(date(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn architecture_and_version_are_filled_in() {
        let expected = "; $ARCH$\r\n[Version]\r\nDriverVer   = 02/29/2000,1.2.3.0\r\n\
            [DefaultInstall.NTamd64]\r\n\r\n[A.NTamd64.B]\r\n";
        assert_eq!(stamp(INX, "02/29/2000", "1.2.3.0").expect("stamped"), expected);
        let windows = INX.replace('\n', "\r\n");
        assert_eq!(stamp(&windows, "02/29/2000", "1.2.3.0").expect("stamped"), expected);
    }

    #[test]
    fn what_cannot_be_stamped_is_refused() {
        let refused = |inx: &str| format!("{:#}", stamp(inx, "d", "v").expect_err("refused"));
        assert_eq!(
            refused(&INX.replace("DriverVer", "Other")),
            "0 lines with DriverVer instead of one"
        );
        let twice = INX.replace("[Version]\n", "[Version]\nDriverVer=\n");
        assert_eq!(refused(&twice), "2 lines with DriverVer instead of one");
        assert_eq!(refused(&INX.replace("  =", "  = 1")), "line 3: DriverVer has a value");
        assert_eq!(refused(&INX.replace(".NT$ARCH$", "")), "no $ARCH$ to fill in");
        assert_eq!(refused(&INX.replace("; $", "; é")), "line 1 is not ASCII: ; éARCH$");
    }

    #[test]
    fn the_repository_s_own_can_be_stamped() {
        let inf = stamp(include_str!("../../../../inf/wskhttpd.inx"), "02/29/2000", VERSION);
        let inf = inf.expect("stamped");
        assert!(inf.contains("\r\n[DefaultInstall.NTamd64.Services]\r\n"));
        assert!(inf.contains(&format!("= 02/29/2000,{VERSION}\r\n")));
        assert_eq!(VERSION.split('.').count(), 4);
    }
}
