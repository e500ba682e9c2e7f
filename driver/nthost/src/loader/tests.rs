//! What is said of mutilations of the sample.
use super::image::{Image, LoadError};
use super::sample::{
    DIRECTORIES, IDATA, NT, OPTIONAL, RELOC, RETURNED, SECTIONS, TEXT, put, put32, sample, section,
};

/// There is one host per process at a time.
static ONE_HOST: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

#[test]
fn the_sample_is_understood() {
    let image = Image::parse(&sample()).unwrap();
    assert_eq!((image.size, image.entry), (0x4000, 0x1000));
    assert_eq!(image.relocations, [0x2100]);
    assert_eq!(image.imports.len(), 1);
    assert_eq!(image.imports[0].0, 0x2050);
    assert_eq!(crate::exports::EXPORTS[image.imports[0].1].name, "DbgPrint");
}

#[test]
fn each_fault_is_named() {
    type Change = fn(&mut [u8]);
    let rows: &[(&str, Change)] = &[
        ("not a valid image", |file| file[0] = b'N'),
        ("machine 0xaa64", |file| put(file, NT + 4, &[0x64, 0xAA])),
        ("subsystem 3", |file| file[OPTIONAL + 68] = 3),
        ("octets of image", |file| put32(file, OPTIONAL + 56, 0x4001)),
        ("octets of image", |file| put32(file, OPTIONAL + 56, 0x7000_0000)),
        ("entry point 0x2000", |file| put32(file, OPTIONAL + 16, 0x2000)),
        ("entry point 0x1200", |file| put32(file, OPTIONAL + 16, 0x1200)),
        ("i386, machine", |file| put(file, NT + 4, &[0x4C, 0x01])),
        ("ARM64, machine", |file| put(file, NT + 4, &[0x64, 0xAA])),
        ("octets of headers", |file| put32(file, OPTIONAL + 60, 0x900)),
        ("octets of headers", |file| put32(file, OPTIONAL + 60, 0)),
        ("section .text", |file| put32(file, SECTIONS + 12, 0)),
        ("thread-local", |file| put(file, DIRECTORIES + 72, &[0, 0x20, 0, 0, 40])),
        ("delayed imports", |file| put(file, DIRECTORIES + 104, &[0, 0x20, 0, 0, 40])),
        (".NET", |file| put(file, DIRECTORIES + 112, &[0, 0x20, 0, 0, 40])),
        ("load configuration is in no", |file| put(file, DIRECTORIES + 80, &[0, 0x50])),
        ("cookie at 0x140002188", |file| {
            with_cookie(file);
            file[SECTIONS + 40 + 39] = 0x40;
        }),
        ("no relocations", |file| file[NT + 22] |= 1),
        ("marked DYNAMICBASE", |file| {
            file[OPTIONAL + 70] = 0x40;
            put(file, DIRECTORIES + 40, &[0; 8]);
        }),
        ("no relocations", |file| put(file, DIRECTORIES + 40, &[0; 8])),
        (".text is both writable and executable", |file| file[SECTIONS + 39] = 0xE0),
        // A name in an error must not command the terminal that shows it.
        ("section \\x1b[2J\\x07 is both", |file| {
            put(file, SECTIONS, b"\x1b[2J\x07");
            file[SECTIONS + 39] = 0xE0;
        }),
        ("ntoskrnl.exe!\\x1b\\r\\n\\xff", |file| put(file, IDATA + 0x62, b"\x1b\r\n\xff\0")),
        ("\\x1btoskrnl.exe!DbgPrint", |file| put(file, IDATA + 0x70, b"\x1b")),
        ("section .idata", |file| put32(file, SECTIONS + 40 + 12, 0x1000)),
        ("section .idata", |file| put32(file, SECTIONS + 40 + 12, 0x2010)),
        ("section .reloc", |file| put32(file, SECTIONS + 80 + 8, 0x2000)),
        (".reloc is cut off", |file| put32(file, SECTIONS + 80 + 20, 0x700)),
        ("relocation", |file| file[RELOC + 9] = 0x31),
        ("relocation", |file| put(file, RELOC, &[0, 0x3F, 0, 0, 12, 0, 0, 0, 0xFF, 0xAF])),
        ("ntoskrnl.exe!DbgPrinz", |file| put(file, IDATA + 0x62, b"DbgPrinz")),
        ("hal.dll!DbgPrint", |file| put(file, IDATA + 0x70, b"hal.dll\0")),
        ("ntoskrnl.exe!#5", |file| put(file, IDATA + 0x40, &[5, 0, 0, 0, 0, 0, 0, 0x80])),
    ];
    for (said, change) in rows {
        let mut file = sample();
        change(&mut file);
        let error = Image::parse(&file).expect_err(said).to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let file = sample();
    // The tail of the last section is padding; what is in it ends at its twelfth octet.
    for length in 0..file.len() {
        let error = Image::parse(&file[..length]).expect_err("a truncated image");
        assert!(matches!(error, LoadError::Malformed(_)), "{length}: {error}");
    }
}

#[test]
fn mutations_are_refused_or_map_inside_the_image() {
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 16).unwrap()
    };
    let sample = sample();
    let mut accepted = 0;
    for _ in 0..100_000 {
        let mut file = sample.clone();
        for _ in 0..=next() % 3 {
            let at = [next() % 0x1C0, IDATA + next() % 0x90, RELOC + next() % 12][next() % 3];
            file[at] = [0, 0xFF, 0x7F, 0x80, file[at] ^ (1 << (next() % 8))][next() % 5];
        }
        let Ok(image) = Image::parse(&file) else { continue };
        accepted += 1;
        assert!(image.headers.len() <= image.size);
        for section in &image.sections {
            assert!(section.at + section.octets <= image.size);
            assert!(section.data.len() <= section.octets);
        }
        assert!(image.relocations.iter().all(|at| at + 8 <= image.size));
        assert!(image.imports.iter().all(|(at, _)| at + 8 <= image.size));
    }
    assert!(accepted > 1_000, "the mutations are too wild: {accepted}");
}

#[test]
fn an_image_runs_at_another_address_than_it_prefers() {
    let _one = ONE_HOST.lock();
    let mut host = crate::Host::start(crate::Options::default()).unwrap();
    match host.load_image("sample", &sample()) {
        Err(crate::LoadFailure::Entry(status)) => assert_eq!(status.cast_unsigned(), RETURNED),
        other => panic!("{other:?}"),
    }
    assert!(host.unload().is_zero());
}

/// Puts a load configuration at 2120h with the compiler's cookie at 2188h, and makes that writable.
fn with_cookie(file: &mut [u8]) {
    file[SECTIONS + 40 + 39] = 0xC0;
    put(file, DIRECTORIES + 80, &[0x20, 0x21, 0, 0, 0x60, 0, 0, 0]);
    put32(file, IDATA + 0x120, 0x60);
    put(file, IDATA + 0x120 + 88, &0x1_4000_2188_u64.to_le_bytes());
    put(file, IDATA + 0x188, &0x2B99_2DDF_A232_u64.to_le_bytes());
}

/// What the entry returns when it consists of these octets; the highest bit makes it a failure.
fn returned(file: &mut [u8], entry: &[u8], then: impl FnOnce(u32)) -> u32 {
    put(file, TEXT, entry);
    // bts eax, 31; ret
    put(file, TEXT + entry.len(), &[0x0F, 0xBA, 0xE8, 0x1F, 0xC3]);
    let mut host = crate::Host::start(crate::Options::default()).unwrap();
    let Err(crate::LoadFailure::Entry(status)) = host.load_image("sample", file) else {
        panic!("the entry fails");
    };
    let value = status.cast_unsigned() & 0x7FFF_FFFF;
    then(value);
    assert!(host.unload().is_zero());
    value
}

/// Access to each page that is mapped, by the lower 31 bits of its number.
fn access_to(page: u32) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).map(|address| address >> 12).ok();
        let mut pages = number(from)?..number(to)?;
        let found = pages.any(|number| number & 0x7FFF_FFFF == u64::from(page));
        found.then(|| rest.chars().take(3).collect())
    })
}

#[test]
fn the_object_names_an_image_of_which_no_page_is_writable_code_until_the_unload() {
    let _one = ONE_HOST.lock();
    // mov rax, [rcx + 18h] (DriverStart); shr rax, 12
    let entry = [0x48, 0x8B, 0x41, 0x18, 0x48, 0xC1, 0xE8, 0x0C];
    let mut file = sample();
    file[SECTIONS + 40 + 39] = 0xC0;
    let first = returned(&mut file, &entry, |first| {
        let access: Vec<_> = (first..first + 4).map(access_to).collect();
        assert_eq!(access.iter().flatten().collect::<Vec<_>>(), ["r--", "r-x", "rw-", "r--"]);
    });
    assert_ne!(access_to(first + 1).as_deref(), Some("r-x"), "it is still mapped");
    // mov eax, [rcx + 20h] (DriverSize)
    assert_eq!(returned(&mut sample(), &[0x8B, 0x41, 0x20], |_| {}), 0x4000);
}

#[test]
fn the_stack_cookie_is_not_the_compiler_s() {
    let _one = ONE_HOST.lock();
    let mut file = sample();
    with_cookie(&mut file);
    assert_eq!(Image::parse(&file).unwrap().cookie, Some(0x2188));
    // mov eax, [rip + 1182h] (the cookie)
    let entry = [0x8B, 0x05, 0x82, 0x11, 0, 0];
    let (first, second) =
        (returned(&mut file, &entry, |_| {}), returned(&mut file, &entry, |_| {}));
    assert!(first != 0x2DDF_A232 && second != 0x2DDF_A232 && first != second);
}

#[test]
fn lists_of_imports_that_many_descriptors_share_are_bounded() {
    let mut file = sample();
    file.resize(0x800 + 0x2_0000, 0);
    // .reloc becomes the last section's neighbour: a section of descriptors and one list.
    let (at, octets) = (0x4000_u32, 0x2_0000_u32);
    file[NT + 6] = 4;
    section(&mut file, 3, b".more", at, 0x800, 0x4000_0040);
    put32(&mut file, SECTIONS + 3 * 40 + 8, octets);
    put32(&mut file, SECTIONS + 3 * 40 + 16, octets);
    put32(&mut file, OPTIONAL + 56, at + octets);
    put32(&mut file, DIRECTORIES + 8, at);
    for descriptor in 0..1000 {
        for (offset, value) in [(0, at + 0x8000), (12, at + 0x6000), (16, at + 0x8000)] {
            put32(&mut file, 0x800 + descriptor * 20 + offset, value);
        }
    }
    put(&mut file, 0x800 + 0x6000, b"ntoskrnl.exe\0\0\0\0DbgPrint\0");
    for thunk in 0..4000 {
        put32(&mut file, 0x800 + 0x8000 + thunk * 8, at + 0x600E);
    }
    let error = Image::parse(&file).unwrap_err().to_string();
    assert!(error.contains("more than 4096 imports"), "{error}");
}
