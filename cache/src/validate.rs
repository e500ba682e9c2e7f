//! One pass over arbitrary bytes that ends in a [`Layout`] or in what is wrong with them.

use http1::Coding;
use http1::date::ImfFixdate;

use crate::checksum::crc32;
use crate::head::{DATE_PLACEHOLDER, Head, is_entity_tag};
use crate::invalid::Invalid;
use crate::layout::{
    CHECKED_FROM, ENTRY_BYTES, ERROR_BYTES, EntryRecord, Extent, FORMAT_VERSION, HEADER_BYTES,
    Layout, MAGIC, NONE, PACKED_ALIGN, PACKED_BYTES_MAX, PAGE_BYTES, RESPONSE_BYTES,
    ResponseRecord, Section, Span, WORD_BYTES, chunk_at, coding_of_octet, header, u16_at, u32_at,
    u64_at, widen,
};
use crate::limits::{
    HEALTH_NAME_BYTES_MAX, HEALTH_NAMES_MAX, HEALTH_STATES, HOST_BYTES_MAX, Limits, PATH_BYTES_MAX,
    REQUIRED_ERRORS,
};
use crate::site::{Entry, Response, Site, find_hosted};

impl Layout {
    /// Validates `image`: a total function over arbitrary bytes, in time linear to their number,
    /// that neither allocates nor recurses. What the result proves is told at [`Layout`].
    ///
    /// # Errors
    /// The first thing found to be wrong.
    pub fn validate(image: &[u8], limits: &Limits) -> Result<Self, Invalid> {
        check_envelope(image, limits)?;
        let check = Check::of_sections(image, limits)?;
        check.responses()?;
        check.entries()?;
        check.slots()?;
        check.errors()?;
        check.options()?;
        Ok(check.layout)
    }
}

/// Size, magic, version, checksum: nothing else is looked at before these hold.
fn check_envelope(image: &[u8], limits: &Limits) -> Result<(), Invalid> {
    let found = image.len();
    if found < HEADER_BYTES {
        return Err(Invalid::Length { found, expected: HEADER_BYTES });
    }
    if found > limits.image_bytes_max {
        return Err(Invalid::TooMuch { what: "octets", found, max: limits.image_bytes_max });
    }
    if !image.starts_with(&MAGIC) {
        return Err(Invalid::Magic);
    }
    let version = u32_at(image, header::VERSION);
    if version != FORMAT_VERSION {
        return Err(Invalid::Version { found: version });
    }
    let expected = widen(u32_at(image, header::TOTAL));
    if found != expected {
        return Err(Invalid::Length { found, expected });
    }
    let stored = u32_at(image, header::CHECKSUM);
    let computed = crc32(image.get(CHECKED_FROM..).unwrap_or(&[]));
    if stored != computed {
        return Err(Invalid::Checksum { found: computed, expected: stored });
    }
    if u32_at(image, header::RESERVED_WORD) != 0 {
        return Err(Invalid::Reserved { at: header::RESERVED_WORD });
    }
    let reserved = image.get(header::RESERVED..HEADER_BYTES).unwrap_or(&[]);
    if reserved.iter().any(|octet| *octet != 0) {
        return Err(Invalid::Reserved { at: header::RESERVED });
    }
    Ok(())
}

/// Reads the section table; each section must start at or after the end of the one before it.
fn read_sections(image: &[u8]) -> Result<[Extent; 7], Invalid> {
    let mut extents = [Extent::default(); 7];
    let mut end = HEADER_BYTES;
    let mut at = header::SECTIONS;
    for (section, extent) in Section::ALL.into_iter().zip(&mut extents) {
        let misplaced = Invalid::Section { section, at };
        let offset = widen(u32_at(image, at));
        let count = widen(u32_at(image, at.saturating_add(4)));
        let length = count.checked_mul(section.item_bytes()).ok_or(misplaced)?;
        if offset < end || !offset.is_multiple_of(PACKED_ALIGN) {
            return Err(misplaced);
        }
        end = offset.checked_add(length).filter(|end| *end <= image.len()).ok_or(misplaced)?;
        *extent = Extent { offset, count };
        at = at.saturating_add(8);
    }
    if end != image.len() {
        return Err(Invalid::Length { found: image.len(), expected: end });
    }
    Ok(extents)
}

/// `count` - 1 of a table whose size is a power of two.
fn table_mask(section: Section, count: usize) -> Result<u32, Invalid> {
    let mask = count.checked_sub(1).filter(|_| count.is_power_of_two());
    mask.and_then(|mask| u32::try_from(mask).ok()).ok_or(Invalid::Table { section, count })
}

/// An image whose sections are known to be in place.
struct Check<'c> {
    image: &'c [u8],
    limits: &'c Limits,
    layout: Layout,
    strings: Extent,
    bodies: Extent,
}

impl<'c> Check<'c> {
    fn of_sections(image: &'c [u8], limits: &'c Limits) -> Result<Self, Invalid> {
        let [displacements, slots, entries, responses, errors, strings, bodies] =
            read_sections(image)?;
        if entries.count > limits.entries_max {
            let (found, max) = (entries.count, limits.entries_max);
            return Err(Invalid::TooMuch { what: "entries", found, max });
        }
        let layout = Layout {
            displacements,
            slots,
            entries,
            responses,
            errors,
            bucket_mask: table_mask(Section::Displacements, displacements.count)?,
            slot_mask: table_mask(Section::Slots, slots.count)?,
            seed: u64_at(image, header::SEED),
            generation: u64_at(image, header::GENERATION),
            hosted: u32_at(image, header::HOSTED),
            options: u32_at(image, header::OPTIONS),
            total: image.len(),
        };
        Ok(Self { image, limits, layout, strings, bodies })
    }

    fn site(&self) -> Site<'_> {
        Site::new(self.image, &self.layout)
    }

    fn responses(&self) -> Result<(), Invalid> {
        let extent = self.layout.responses;
        for (index, at) in records(extent, RESPONSE_BYTES) {
            let refuse = |rule| Err(Invalid::Record { rule, at });
            let bytes = chunk_at(self.image, at).unwrap_or([0; RESPONSE_BYTES]);
            if ResponseRecord::reserved(&bytes) != 0 {
                return Err(Invalid::Reserved { at });
            }
            let record = ResponseRecord::read(&bytes);
            if record.flags & !(ResponseRecord::HAS_LAST_MODIFIED | ResponseRecord::CLOSES) != 0 {
                return refuse("response: unknown flag");
            }
            if coding_of_octet(record.coding).is_none() {
                return refuse("response: unknown coding");
            }
            if record.not_modified != NONE && extent.count <= widen(record.not_modified) {
                return refuse("response: no such 304");
            }
            if record.partial != NONE && extent.count <= widen(record.partial) {
                return refuse("response: no such 206");
            }
            self.head(&record, at)?;
            self.body(&record, at)?;
            self.validators(Response(index), &record, at)?;
        }
        Ok(())
    }

    /// The head is well formed and says what the record says.
    fn head(&self, record: &ResponseRecord, at: usize) -> Result<(), Invalid> {
        let refuse = |rule| Err(Invalid::Record { rule, at });
        let Some(bytes) = within(self.image, self.strings, record.head) else {
            return refuse("response: head outside the strings");
        };
        let head = Head::parse(bytes)
            .map_err(|line| Invalid::Head { at: widen(record.head.offset).saturating_add(line) })?;
        if head.status != record.status {
            return refuse("response: status differs from its head");
        }
        let (date, value) = head.date.unwrap_or((0, DATE_PLACEHOLDER));
        if date != widen(record.date) {
            return refuse("response: date is elsewhere in its head");
        }
        if value != DATE_PLACEHOLDER {
            return refuse("response: no room for a date");
        }
        let without_content = matches!(record.status, 204 | 206 | 304);
        let length = (!without_content).then_some(u64::from(record.body.length));
        if head.content_length != length {
            return refuse("response: Content-Length differs from its body");
        }
        if record.status == 405 && !head.has_allow {
            return refuse("response: 405 without Allow");
        }
        if record.status != 304 && head.content_encoding != coding_name(record.coding) {
            return refuse("response: Content-Encoding differs from its coding");
        }
        if head.accepts_ranges != (record.partial != NONE || record.status == 206) {
            return refuse("response: Accept-Ranges without a 206, or the reverse");
        }
        let Some(tag) = within(self.image, self.strings, record.entity_tag) else {
            return refuse("response: entity tag outside the strings");
        };
        if head.entity_tag.unwrap_or(&[]) != tag || !(tag.is_empty() || is_entity_tag(tag)) {
            return refuse("response: entity tag differs from its head");
        }
        let has_date = record.flags & ResponseRecord::HAS_LAST_MODIFIED != 0;
        if !has_date && record.last_modified != 0 {
            return refuse("response: date of modification without its flag");
        }
        let date = has_date.then(|| ImfFixdate::from_unix(record.last_modified));
        let date = date.as_ref().map(|date| &date.as_bytes()[..]);
        if record.status != 304 && head.last_modified != date {
            return refuse("response: Last-Modified differs from its head");
        }
        Ok(())
    }

    fn body(&self, record: &ResponseRecord, at: usize) -> Result<(), Invalid> {
        let refuse = |rule| Err(Invalid::Record { rule, at });
        let (offset, length) = (widen(record.body.offset), widen(record.body.length));
        if length > self.limits.response_bytes_max {
            let max = self.limits.response_bytes_max;
            return Err(Invalid::TooMuch { what: "octets of body", found: length, max });
        }
        if length == 0 {
            return if offset == 0 { Ok(()) } else { refuse("response: empty body with a place") };
        }
        if matches!(record.status, 204 | 206 | 304) {
            return refuse("response: body under a status that has none");
        }
        if within(self.image, self.bodies, record.body).is_none() {
            return refuse("response: body outside the bodies");
        }
        let align = if length > PACKED_BYTES_MAX { PAGE_BYTES } else { PACKED_ALIGN };
        if !offset.is_multiple_of(align) {
            return refuse("response: body not aligned");
        }
        Ok(())
    }

    /// A response has a 304 and a 206 exactly if it is a 200 with validators; they have the same
    /// ones, and the 206 is of the same coding.
    fn validators(
        &self,
        response: Response,
        record: &ResponseRecord,
        at: usize,
    ) -> Result<(), Invalid> {
        let refuse = |rule| Err(Invalid::Record { rule, at });
        let tag = record.entity_tag.of(self.image);
        let has_any = !tag.is_empty() || record.flags & ResponseRecord::HAS_LAST_MODIFIED != 0;
        if matches!(record.status, 206 | 304) {
            return if record.not_modified == NONE && record.partial == NONE {
                Ok(())
            } else {
                refuse("response: 206 or 304 that has one of its own")
            };
        }
        if has_any != (record.not_modified != NONE) {
            return refuse("response: validators without a 304, or the reverse");
        }
        if has_any != (record.partial != NONE) {
            return refuse("response: validators without a 206, or the reverse");
        }
        if !has_any {
            return Ok(());
        }
        if record.status != 200 {
            return refuse("response: validators under a status other than 200");
        }
        let same = |other: &ResponseRecord| {
            other.entity_tag.of(self.image) == tag
                && other.flags == record.flags
                && other.last_modified == record.last_modified
                && other.coding == record.coding
        };
        let other = self.site().not_modified(response).and_then(|other| self.site().record(other));
        if !other.is_some_and(|other| other.status == 304 && same(&other)) {
            return refuse("response: its 304 has other validators");
        }
        let other = self.site().partial(response).and_then(|other| self.site().record(other));
        if !other.is_some_and(|other| other.status == 206 && same(&other)) {
            return refuse("response: its 206 has other validators");
        }
        Ok(())
    }

    fn entries(&self) -> Result<(), Invalid> {
        let mut hosted = 0_u32;
        let mut names = [Span::default(); HEALTH_NAMES_MAX];
        for (index, at) in records(self.layout.entries, ENTRY_BYTES) {
            let refuse = |rule| Err(Invalid::Record { rule, at });
            let bytes = chunk_at(self.image, at).unwrap_or([0; ENTRY_BYTES]);
            if EntryRecord::reserved(&bytes) != 0 {
                return Err(Invalid::Reserved { at });
            }
            let record = EntryRecord::read(&bytes);
            let Some(path) = within(self.image, self.strings, record.path) else {
                return refuse("entry: path outside the strings");
            };
            let Some(host) = within(self.image, self.strings, record.host) else {
                return refuse("entry: host outside the strings");
            };
            let Some(health) = within(self.image, self.strings, record.health) else {
                return refuse("entry: name outside the strings");
            };
            if !is_canonical_path(path) {
                return refuse("entry: path not canonical");
            }
            if !(host.is_empty() || is_host(host)) {
                return refuse("entry: not a host in lower case");
            }
            if !(health.is_empty() || is_health_name(health)) {
                return refuse("entry: not a name of a health endpoint");
            }
            if health.is_empty() && record.health_number == 0 {
                self.variants(&record, at)?;
            } else {
                self.states(&record, health, &mut names, at)?;
            }
            hosted = hosted.saturating_add(u32::from(!host.is_empty()));
            if find_hosted(self.site(), host, path) != Some(Entry(index)) {
                return refuse("entry: not found by its own key");
            }
        }
        if hosted != self.layout.hosted {
            return Err(Invalid::Record { rule: "header: hosts miscounted", at: header::HOSTED });
        }
        for (number, name) in names.iter().enumerate().filter(|(_, name)| name.length > 0) {
            let before = names.get(..number).unwrap_or(&[]);
            if before.iter().any(|other| other.of(self.image) == name.of(self.image)) {
                let rule = "entry: a name of health endpoints with two numbers";
                return Err(Invalid::Record { rule, at: widen(name.offset) });
            }
        }
        Ok(())
    }

    /// A health endpoint has a number that is its name's, and for each state a response that no
    /// condition, range or coding has to do with. `names` are those of the numbers seen so far.
    fn states(
        &self,
        record: &EntryRecord,
        health: &[u8],
        names: &mut [Span; HEALTH_NAMES_MAX],
        at: usize,
    ) -> Result<(), Invalid> {
        let refuse = |rule| Err(Invalid::Record { rule, at });
        let number = usize::from(record.health_number).checked_sub(1);
        let Some(name) = number.and_then(|number| names.get_mut(number)) else {
            return refuse("entry: not a number of a health endpoint");
        };
        if name.length == 0 {
            *name = record.health;
        }
        if health.is_empty() || name.of(self.image) != health {
            return refuse("entry: number of another health endpoint");
        }
        if record.variants != 0 {
            return refuse("entry: health endpoint with variants");
        }
        for state in 0..HEALTH_STATES {
            let response = self.site().nth(record.response, state);
            let Some(response) = response.and_then(|response| self.site().record(response)) else {
                return refuse("entry: no such response");
            };
            let is_plain = response.coding == 0 && response.not_modified == NONE;
            if !is_plain || matches!(response.status, 206 | 304) {
                return refuse("entry: response that is not for a health endpoint");
            }
        }
        Ok(())
    }

    /// At least one; the identity coding first, then ascending, so that none is there twice. Where
    /// there are several, each says so in Vary and none has the entity tag of another.
    fn variants(&self, record: &EntryRecord, at: usize) -> Result<(), Invalid> {
        let refuse = |rule| Err(Invalid::Record { rule, at });
        let mut coding_min = 0;
        let mut tags: [&[u8]; 2] = [&[]; 2];
        for variant in 0..u32::from(record.variants) {
            let response = record.response.checked_add(variant).map(Response);
            let Some(response) = response.and_then(|response| self.site().record(response)) else {
                return refuse("entry: no such response");
            };
            if matches!(response.status, 206 | 304) {
                return refuse("entry: 206 or 304 as an answer");
            }
            if response.coding < coding_min || (variant == 0 && response.coding != 0) {
                return refuse("entry: codings out of order");
            }
            coding_min = response.coding.saturating_add(1);
            if record.variants == 1 {
                continue;
            }
            let head = Head::parse(response.head.of(self.image)).unwrap_or_default();
            if !head.varies_by_coding {
                return refuse("entry: several variants without Vary");
            }
            let tag = response.entity_tag.of(self.image);
            if !tag.is_empty() && tags.contains(&tag) {
                return refuse("entry: variants with one entity tag");
            }
            let [_, last] = tags;
            tags = [last, tag];
        }
        if record.variants == 0 { refuse("entry: no response") } else { Ok(()) }
    }

    /// Every slot is empty or leads to an entry; as every entry is found by its own key, equal
    /// numbers of both say that no slot leads to another's entry.
    fn slots(&self) -> Result<(), Invalid> {
        let entries = self.layout.entries.count;
        let mut in_use = 0_usize;
        for (_, at) in records(self.layout.slots, WORD_BYTES) {
            let entry = u32_at(self.image, at);
            if entry == NONE {
                continue;
            }
            if widen(entry) >= entries {
                return Err(Invalid::Record { rule: "slot: no such entry", at });
            }
            in_use = in_use.saturating_add(1);
        }
        if in_use != entries {
            let (section, count) = (Section::Slots, in_use);
            return Err(Invalid::Table { section, count });
        }
        Ok(())
    }

    fn errors(&self) -> Result<(), Invalid> {
        let mut before = 399;
        for (_, at) in records(self.layout.errors, ERROR_BYTES) {
            let refuse = |rule| Err(Invalid::Record { rule, at });
            let record = chunk_at(self.image, at).unwrap_or([0; ERROR_BYTES]);
            let (status, response) = (u16_at(&record, 0), Response(u32_at(&record, 4)));
            if u16_at(&record, 2) != 0 {
                return Err(Invalid::Reserved { at });
            }
            if status <= before || status > 599 {
                return refuse("error: status out of order");
            }
            if self.site().status(response) != status {
                return refuse("error: response has another status");
            }
            before = status;
        }
        for status in REQUIRED_ERRORS {
            let status = status.code();
            self.site().error(status).ok_or(Invalid::MissingError { status })?;
        }
        Ok(())
    }

    fn options(&self) -> Result<(), Invalid> {
        let refuse = |rule| Err(Invalid::Record { rule, at: header::OPTIONS });
        let Some(record) = self.site().record(self.site().options()) else {
            return refuse("header: no such answer to OPTIONS");
        };
        let head = Head::parse(record.head.of(self.image)).unwrap_or_default();
        if record.status == 204 && head.has_allow {
            Ok(())
        } else {
            refuse("header: answer to OPTIONS is not 204 with Allow")
        }
    }
}

/// What Content-Encoding says of a coding (RFC 9110 section 8.4); nothing for identity.
fn coding_name(octet: u8) -> Option<&'static [u8]> {
    match coding_of_octet(octet)? {
        Coding::Identity => None,
        Coding::Gzip => Some(b"gzip"),
        Coding::Br => Some(b"br"),
    }
}

/// Index and offset of each record of a section.
fn records(extent: Extent, item_bytes: usize) -> impl Iterator<Item = (u32, usize)> {
    let count = u32::try_from(extent.count).unwrap_or(u32::MAX);
    (0..count).filter_map(move |index| Some((index, extent.item(index, item_bytes)?)))
}

/// The octets of `span`, which must lie in `section` (a section counted in octets). The empty
/// string lies anywhere.
fn within(image: &[u8], section: Extent, span: Span) -> Option<&[u8]> {
    if span.length == 0 {
        return Some(&[]);
    }
    let end = section.offset.checked_add(section.count)?;
    let (start, length) = (widen(span.offset), widen(span.length));
    if start < section.offset || start.checked_add(length)? > end {
        return None;
    }
    Some(span.of(image)).filter(|bytes| bytes.len() == length)
}

/// What a decoded request path looks like when nothing is left to be done to it: UTF-8 that starts
/// with `/`, without controls and without dot segments (RFC 3986 section 6.2.2).
pub(crate) fn is_canonical_path(path: &[u8]) -> bool {
    path.len() <= PATH_BYTES_MAX
        && path.first() == Some(&b'/')
        && core::str::from_utf8(path).is_ok()
        && !path.iter().any(u8::is_ascii_control)
        && !path.split(|octet| *octet == b'/').any(|segment| matches!(segment, b"." | b".."))
}

/// A host as an entry stores it: the octets of a reg-name or an IP literal, no letter in upper
/// case, no port (RFC 3986 section 3.2.2).
pub(crate) fn is_host(host: &[u8]) -> bool {
    let literal = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    let colon = |octet: &u8| literal.is_some() && *octet == b':';
    let allowed = |octet: &u8| {
        octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-._~!$&'()*+,;=%".contains(octet)
    };
    let inner = literal.unwrap_or(host);
    host.len() <= HOST_BYTES_MAX
        && !inner.is_empty()
        && inner.iter().all(|octet| allowed(octet) || colon(octet))
}

/// Letters, digits, `.`, `_` and `-`: fit for a command line and for a metric's label.
pub(crate) fn is_health_name(name: &[u8]) -> bool {
    let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-".contains(octet);
    !name.is_empty() && name.len() <= HEALTH_NAME_BYTES_MAX && name.iter().all(allowed)
}
