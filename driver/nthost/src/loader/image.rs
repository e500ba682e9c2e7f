//! A PE image as a loader needs it, checked before anything is mapped.
use std::fmt;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile64};

use crate::exports::EXPORTS;

/// Octets of a mapped image at most.
const IMAGE_BYTES_MAX: usize = 64 << 20;
/// Octets of a page.
const PAGE: usize = 4096;
/// Imports at most. Descriptors may share their lists, so the file's size alone does not bound the
/// work.
const IMPORTS_MAX: usize = 4096;
/// Offset of the stack cookie's address in the load configuration.
const COOKIE_AT: usize = 88;

/// Directories that the kernel does not handle, and what they are.
const UNSUPPORTED: [(usize, &str); 3] = [
    (pe::IMAGE_DIRECTORY_ENTRY_TLS, "thread-local storage"),
    (pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, "delayed imports"),
    (pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR, "a .NET header"),
];

/// Why an image cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Not a PE image, or a truncated one.
    Malformed(String),
    /// For another processor; the machine field.
    Machine(u16),
    /// Not for the kernel; the subsystem field.
    Subsystem(u16),
    /// A section that is both writable and executable.
    WritableCode(String),
    /// It has what the kernel does not have, such as thread-local storage.
    Unsupported(&'static str),
    /// It cannot be put at another address, although DYNAMICBASE may say that it can.
    NotRelocatable {
        /// DYNAMICBASE is set.
        dynamic_base: bool,
    },
    /// Imports that the host does not export, `module!name`.
    UnknownImports(Vec<String>),
}

fn machine_name(machine: u16) -> &'static str {
    match machine {
        0x014C => "i386, ",
        0x01C0 | 0x01C4 => "ARM, ",
        0xAA64 => "ARM64, ",
        0xA641 => "ARM64EC, ",
        _ => "",
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Malformed(what) => write!(f, "not a valid image: {what}"),
            LoadError::Machine(machine) => {
                let name = machine_name(*machine);
                write!(f, "an image for {name}machine {machine:#06x}; this host runs x86-64")
            }
            LoadError::Subsystem(subsystem) => {
                let kind = "a program or DLL";
                write!(f, "{kind} for subsystem {subsystem}; drivers are native (1)")
            }
            LoadError::WritableCode(section) => {
                write!(f, "section {section} is both writable and executable")
            }
            LoadError::Unsupported(what) => write!(f, "it has {what}"),
            LoadError::NotRelocatable { dynamic_base: true } => {
                f.write_str("it has no relocations, although it is marked DYNAMICBASE")
            }
            LoadError::NotRelocatable { dynamic_base: false } => {
                f.write_str("it has no relocations")
            }
            LoadError::UnknownImports(names) => {
                write!(f, "imports that this host does not export: {}", names.join(", "))
            }
        }
    }
}

impl std::error::Error for LoadError {}

fn malformed(what: impl fmt::Display) -> LoadError {
    LoadError::Malformed(what.to_string())
}

/// How a part of the image may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Execute,
}

/// One section: where it goes, what is in it, how it may be used.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) at: usize,
    pub(crate) octets: usize,
    pub(crate) data: Vec<u8>,
    pub(crate) access: Access,
}

/// A checked image: every offset in it lies inside `size`.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) size: usize,
    pub(crate) preferred_base: u64,
    pub(crate) entry: usize,
    pub(crate) headers: Vec<u8>,
    pub(crate) sections: Vec<Section>,
    /// Where 64-bit addresses are that move with the image.
    pub(crate) relocations: Vec<usize>,
    /// Where addresses of imports go, and the index of each in [`EXPORTS`].
    pub(crate) imports: Vec<(usize, usize)>,
    /// Where the stack cookie is, in code that was compiled with one.
    pub(crate) cookie: Option<usize>,
}

impl Image {
    /// Checks everything that loading relies on.
    ///
    /// # Errors
    /// [`LoadError`]; the first thing that is wrong.
    pub(crate) fn parse(file: &[u8]) -> Result<Image, LoadError> {
        let headers = PeFile64::parse(file).map_err(|error| wrong_kind(file, &error))?;
        let nt = headers.nt_headers();
        let machine = nt.file_header().machine.get(LE);
        if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
            return Err(LoadError::Machine(machine.0));
        }
        let optional = nt.optional_header();
        if optional.subsystem() != pe::IMAGE_SUBSYSTEM_NATIVE {
            return Err(LoadError::Subsystem(optional.subsystem().0));
        }
        let size = optional.size_of_image() as usize;
        if size == 0 || size > IMAGE_BYTES_MAX || !size.is_multiple_of(PAGE) {
            return Err(malformed(format!("{size} octets of image")));
        }
        let directories = headers.data_directories();
        for (directory, what) in UNSUPPORTED {
            if directories.get(directory).is_some() {
                return Err(LoadError::Unsupported(what));
            }
        }
        let header_octets = optional.size_of_headers() as usize;
        if header_octets == 0 || header_octets > file.len().min(size) {
            return Err(malformed(format!("{header_octets} octets of headers")));
        }
        let sections = sections(&headers, file, header_octets, size)?;
        let entry = optional.address_of_entry_point() as usize;
        let runs = |s: &Section| s.access == Access::Execute && inside(entry, s.at, s.octets);
        if !sections.iter().any(runs) {
            return Err(malformed(format!("the entry point {entry:#x} is not in code")));
        }
        Ok(Image {
            size,
            preferred_base: optional.image_base(),
            entry,
            headers: file[..header_octets].to_vec(),
            relocations: relocations(&headers, size)?,
            imports: imports(&headers, size)?,
            cookie: cookie(&headers, file, &sections)?,
            sections,
        })
    }
}

/// A file that is not a 64-bit PE: say what it is, if it is something.
fn wrong_kind(file: &[u8], error: &object::Error) -> LoadError {
    match object::read::pe::PeFile32::parse(file) {
        Ok(other) => LoadError::Machine(other.nt_headers().file_header.machine.get(LE).0),
        Err(_) => malformed(error),
    }
}

/// A name of the file as it may be shown: a terminal obeys what is not printable.
fn printable(name: &[u8]) -> String {
    let end = name.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    name[..end].escape_ascii().to_string()
}

const fn inside(at: usize, from: usize, octets: usize) -> bool {
    at >= from && at - from < octets
}

fn sections(
    headers: &PeFile64<'_>,
    file: &[u8],
    header_octets: usize,
    size: usize,
) -> Result<Vec<Section>, LoadError> {
    let mut sections = Vec::new();
    let mut free = header_octets;
    for header in headers.section_table().iter() {
        let name = printable(header.raw_name());
        let at = header.virtual_address.get(LE) as usize;
        let octets = header.virtual_size.get(LE) as usize;
        let end = at.checked_add(octets).filter(|end| *end <= size && at.is_multiple_of(PAGE));
        // In ascending order, as the format demands, so that none overlap.
        let Some(end) = end.filter(|_| at >= free && octets > 0) else {
            return Err(malformed(format!("section {name} at {at:#x}, {octets} octets")));
        };
        free = end;
        let raw = header.pointer_to_raw_data.get(LE) as usize;
        let length = (header.size_of_raw_data.get(LE) as usize).min(octets);
        let data = raw.checked_add(length).and_then(|end| file.get(raw..end));
        let data = data.ok_or_else(|| malformed(format!("section {name} is cut off")))?;
        let flags = header.characteristics.get(LE);
        let execute = flags.contains(pe::IMAGE_SCN_MEM_EXECUTE);
        let access = match (flags.contains(pe::IMAGE_SCN_MEM_WRITE), execute) {
            (true, true) => return Err(LoadError::WritableCode(name)),
            (true, false) => Access::Write,
            (false, true) => Access::Execute,
            (false, false) => Access::Read,
        };
        sections.push(Section { at, octets, data: data.to_vec(), access });
    }
    Ok(sections)
}

fn relocations(headers: &PeFile64<'_>, size: usize) -> Result<Vec<usize>, LoadError> {
    let (data, table) = (headers.data(), headers.section_table());
    let blocks = headers.data_directories().relocation_blocks(data, &table).map_err(malformed)?;
    let nt = headers.nt_headers();
    let flags = nt.optional_header().dll_characteristics();
    let dynamic_base = flags.contains(pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE);
    let kept = !nt.file_header().characteristics.get(LE).contains(pe::IMAGE_FILE_RELOCS_STRIPPED);
    let blocks = blocks.filter(|_| kept);
    let mut blocks = blocks.ok_or(LoadError::NotRelocatable { dynamic_base })?;
    let mut places = Vec::new();
    while let Some(block) = blocks.next().map_err(malformed)? {
        for relocation in block {
            let at = relocation.virtual_address as usize;
            match relocation.typ {
                pe::IMAGE_REL_BASED_ABSOLUTE => {}
                pe::IMAGE_REL_BASED_DIR64 if at + 8 <= size => places.push(at),
                other => return Err(malformed(format!("relocation {other:?} at {at:#x}"))),
            }
        }
    }
    Ok(places)
}

fn imports(headers: &PeFile64<'_>, size: usize) -> Result<Vec<(usize, usize)>, LoadError> {
    let Some(table) = headers.import_table().map_err(malformed)? else { return Ok(Vec::new()) };
    let mut descriptors = table.descriptors().map_err(malformed)?;
    let (mut bound, mut unknown) = (Vec::new(), Vec::new());
    while let Some(descriptor) = descriptors.next().map_err(malformed)? {
        let module = table.name(descriptor.name.get(LE)).map_err(malformed)?;
        let module = printable(module).to_lowercase();
        let first = descriptor.first_thunk.get(LE) as usize;
        let mut lookup = descriptor.original_first_thunk.get(LE);
        if lookup == 0 {
            lookup = descriptor.first_thunk.get(LE);
        }
        let mut thunks = table.thunks(lookup).map_err(malformed)?;
        let mut place = first;
        while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>().map_err(malformed)? {
            if place.checked_add(8).is_none_or(|end| end > size) {
                return Err(malformed(format!("imports of {module} at {place:#x}")));
            }
            if bound.len() + unknown.len() == IMPORTS_MAX {
                return Err(malformed(format!("more than {IMPORTS_MAX} imports")));
            }
            let name = match table.import::<pe::ImageNtHeaders64>(thunk).map_err(malformed)? {
                Import::Name(_, name) => printable(name),
                Import::Ordinal(ordinal) => format!("#{ordinal}"),
            };
            let found = EXPORTS.iter().position(|e| e.module == module && e.name == name);
            match found {
                Some(export) => bound.push((place, export)),
                None => unknown.push(format!("{module}!{name}")),
            }
            place += 8;
        }
    }
    if unknown.is_empty() { Ok(bound) } else { Err(LoadError::UnknownImports(unknown)) }
}

fn cookie(
    headers: &PeFile64<'_>,
    file: &[u8],
    sections: &[Section],
) -> Result<Option<usize>, LoadError> {
    let directory = headers.data_directories().get(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG);
    let Some(directory) = directory else { return Ok(None) };
    let octets = headers.section_table().pe_data_at(file, directory.virtual_address.get(LE));
    let octets = octets.ok_or_else(|| malformed("the load configuration is in no section"))?;
    let size = octets.first_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    // An older one is shorter; what its size leaves out does not exist.
    if size < COOKIE_AT + 8 {
        return Ok(None);
    }
    let address = octets.get(COOKIE_AT..).and_then(|rest| rest.first_chunk());
    let address = address.ok_or_else(|| malformed("the load configuration is cut off"))?;
    let address = u64::from_le_bytes(*address);
    if address == 0 {
        return Ok(None);
    }
    let base = headers.nt_headers().optional_header().image_base();
    let at = address.wrapping_sub(base) as usize;
    let holds =
        |s: &Section| s.access == Access::Write && inside(at, s.at, s.octets.saturating_sub(7));
    if !sections.iter().any(holds) {
        return Err(malformed(format!("the stack cookie at {address:#x} is not in data")));
    }
    Ok(Some(at))
}
