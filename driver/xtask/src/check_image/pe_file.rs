//! What is looked at in a PE file.
use anyhow::{Result, anyhow};
use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile64};

/// A section.
pub(super) struct Section {
    pub(super) name: String,
    pub(super) at: u64,
    pub(super) data: Vec<u8>,
    pub(super) write: bool,
    pub(super) execute: bool,
}

/// The facts of a file.
pub(super) struct PeFile {
    pub(super) machine: u16,
    pub(super) subsystem: u16,
    pub(super) thread_local: bool,
    pub(super) relocatable: bool,
    pub(super) checksum: u32,
    /// Where in the file the checksum stands.
    pub(super) checksum_at: usize,
    pub(super) sections: Vec<Section>,
    /// Module in lower case, and name.
    pub(super) imports: Vec<(String, String)>,
    /// Names of what it exports.
    pub(super) exports: Vec<String>,
    /// Begin and end of every function, by the unwind table.
    pub(super) functions: Vec<(u64, u64)>,
}

impl PeFile {
    /// Reads a 64-bit PE file.
    pub(super) fn parse(octets: &[u8]) -> Result<PeFile> {
        let file = PeFile64::parse(octets)?;
        let nt = file.nt_headers();
        let optional = nt.optional_header();
        let directories = file.data_directories();
        // DOS header's e_lfanew, signature, file header, and the checksum's place behind those.
        let nt_at = file.dos_header().nt_headers_offset() as usize;
        Ok(PeFile {
            machine: nt.file_header().machine.get(LE).0,
            subsystem: optional.subsystem().0,
            thread_local: directories.get(pe::IMAGE_DIRECTORY_ENTRY_TLS).is_some(),
            relocatable: directories.get(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC).is_some(),
            checksum: optional.check_sum(),
            checksum_at: nt_at + 4 + 20 + 64,
            sections: sections(&file, octets)?,
            imports: imports(&file)?,
            exports: exports(&file)?,
            functions: functions(&file),
        })
    }
}

fn sections(file: &PeFile64<'_>, octets: &[u8]) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for header in file.section_table().iter() {
        let name = header.raw_name().escape_ascii().to_string();
        let flags = header.characteristics.get(LE);
        let data = header.pe_data(octets).map_err(|error| anyhow!("section {name}: {error}"))?;
        sections.push(Section {
            name,
            at: u64::from(header.virtual_address.get(LE)),
            data: data.to_vec(),
            write: flags.contains(pe::IMAGE_SCN_MEM_WRITE),
            execute: flags.contains(pe::IMAGE_SCN_MEM_EXECUTE),
        });
    }
    Ok(sections)
}

fn imports(file: &PeFile64<'_>) -> Result<Vec<(String, String)>> {
    let Some(table) = file.import_table()? else { return Ok(Vec::new()) };
    let mut imports = Vec::new();
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).to_lowercase();
        let names = match descriptor.original_first_thunk.get(LE) {
            0 => descriptor.first_thunk.get(LE),
            names => names,
        };
        let mut thunks = table.thunks(names)?;
        while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>()? {
            let name = match table.import::<pe::ImageNtHeaders64>(thunk)? {
                Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                Import::Ordinal(ordinal) => format!("#{ordinal}"),
            };
            imports.push((module.clone(), name));
        }
    }
    Ok(imports)
}

fn exports(file: &PeFile64<'_>) -> Result<Vec<String>> {
    let Some(table) = file.export_table()? else { return Ok(Vec::new()) };
    let names = table.name_iter().map(|(pointer, _)| table.name_from_pointer(pointer));
    names.map(|name| Ok(String::from_utf8_lossy(name?).into_owned())).collect()
}

/// The unwind table: three 32-bit words for each function that has a frame.
fn functions(file: &PeFile64<'_>) -> Vec<(u64, u64)> {
    let directory = file.data_directories().get(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION);
    let table = file.section_table();
    let data = directory.and_then(|directory| directory.data(file.data(), &table).ok());
    let (words, _) = data.unwrap_or_default().as_chunks::<4>();
    let word = |octets: &[u8; 4]| u64::from(u32::from_le_bytes(*octets));
    words.chunks_exact(3).map(|entry| (word(&entry[0]), word(&entry[1]))).collect()
}

/// The checksum that a PE file should have: a folded sum of 16-bit words, without the checksum
/// itself, plus the length.
pub(super) fn checksum(octets: &[u8], checksum_at: usize) -> u32 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8);
    let mut sum = 0;
    for (at, word) in words.enumerate() {
        if !(checksum_at..checksum_at + 4).contains(&(at * 2)) {
            sum += word;
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
    }
    sum + u32::try_from(octets.len()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn the_checksum_folds_leaves_itself_out_and_adds_the_length() {
        assert_eq!(checksum(&[], 0), 0);
        assert_eq!(checksum(&[1, 2, 0, 0, 3, 4], 100), 0x0201 + 0x0403 + 6);
        assert_eq!(checksum(&[1, 2, 0xAA, 0xBB, 0xCC, 0xDD, 3, 4], 2), 0x0201 + 0x0403 + 8);
        // FFFFh + 0002h carries into the lowest bit.
        assert_eq!(checksum(&[0xFF, 0xFF, 2, 0], 100), 2 + 4);
        assert_eq!(checksum(&[0, 0, 7], 100), 7 + 3);
    }
}
