//! A small image built octet by octet, for tests and for the fuzzer beside this crate.
pub(crate) const NT: usize = 0x40;
pub(crate) const OPTIONAL: usize = NT + 24;
pub(crate) const DIRECTORIES: usize = OPTIONAL + 112;
pub(crate) const SECTIONS: usize = DIRECTORIES + 128;
pub(crate) const TEXT: usize = 0x200;
pub(crate) const IDATA: usize = 0x400;
pub(crate) const RELOC: usize = 0x600;

/// What the image's entry returns: `STATUS_NOT_SUPPORTED`, read through a relocated pointer.
pub(crate) const RETURNED: u32 = 0xC000_00BB;

pub(crate) fn put(file: &mut [u8], at: usize, octets: &[u8]) {
    file[at..at + octets.len()].copy_from_slice(octets);
}

pub(crate) fn put32(file: &mut [u8], at: usize, value: u32) {
    put(file, at, &value.to_le_bytes());
}

pub(crate) fn section(file: &mut [u8], index: usize, name: &[u8], at: u32, raw: usize, flags: u32) {
    let header = SECTIONS + index * 40;
    put(file, header, name);
    let raw = u32::try_from(raw).unwrap();
    for (offset, value) in [(8, 0x200), (12, at), (16, 0x200), (20, raw), (36, flags)] {
        put32(file, header + offset, value);
    }
}

/// An image that imports DbgPrint, has one relocation, and an entry of three instructions.
pub(crate) fn sample() -> Vec<u8> {
    let mut file = vec![0; 0x800];
    put(&mut file, 0, b"MZ");
    put32(&mut file, 0x3C, 0x40);
    put(&mut file, NT, b"PE\0\0\x64\x86\x03\0");
    put(&mut file, NT + 20, &[0xF0, 0, 0x22, 0]);
    put(&mut file, OPTIONAL, &[0x0B, 0x02]);
    let base = 0x1_4000_0000_u64;
    for (offset, value) in [(16, 0x1000), (32, 0x1000), (36, 0x200), (56, 0x4000), (60, 0x200)] {
        put32(&mut file, OPTIONAL + offset, value);
    }
    put(&mut file, OPTIONAL + 24, &base.to_le_bytes());
    put(&mut file, OPTIONAL + 68, &[1, 0]);
    put32(&mut file, OPTIONAL + 108, 16);
    put(&mut file, DIRECTORIES + 8, &[0, 0x20, 0, 0, 40, 0, 0, 0]);
    put(&mut file, DIRECTORIES + 40, &[0, 0x30, 0, 0, 12, 0, 0, 0]);
    section(&mut file, 0, b".text", 0x1000, TEXT, 0x6000_0020);
    section(&mut file, 1, b".idata", 0x2000, IDATA, 0x4000_0040);
    section(&mut file, 2, b".reloc", 0x3000, RELOC, 0x4200_0040);
    // mov rax, [rip + 10F9h]; mov eax, [rax]; ret
    put(&mut file, TEXT, &[0x48, 0x8B, 0x05, 0xF9, 0x10, 0, 0, 0x8B, 0x00, 0xC3]);
    // One import descriptor: names at 2040h, module at 2070h, addresses at 2050h.
    for (offset, value) in [(0, 0x2040), (12, 0x2070), (16, 0x2050)] {
        put32(&mut file, IDATA + offset, value);
    }
    put(&mut file, IDATA + 0x40, &0x2060_u64.to_le_bytes());
    put(&mut file, IDATA + 0x50, &0x2060_u64.to_le_bytes());
    put(&mut file, IDATA + 0x62, b"DbgPrint\0");
    put(&mut file, IDATA + 0x70, b"NTOSKRNL.exe\0");
    put(&mut file, IDATA + 0x100, &(base + 0x2108).to_le_bytes());
    put32(&mut file, IDATA + 0x108, RETURNED);
    put(&mut file, RELOC, &[0, 0x20, 0, 0, 12, 0, 0, 0, 0x00, 0xA1, 0, 0]);
    file
}
