//! A collection of evil archives.

use super::*;
use crate::share::pack::tests::packed;

type Entries = Vec<(tar::Header, Vec<u8>)>;

fn header(path: &str, bytes: &[u8]) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    // The library's own setter refuses what we want to try.
    let name = &mut header.as_ustar_mut().unwrap().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    header
}

fn manifest(files: &[(&str, &[u8])]) -> BundleManifest {
    BundleManifest {
        schema_version: 1,
        experiment: "evil".into(),
        program: "0".into(),
        main: "main.exp".into(),
        plan_hash: String::new(),
        overrides: Vec::new(),
        data: true,
        run: None,
        files: files
            .iter()
            .map(|(path, bytes)| BundleFile {
                path: (*path).to_owned(),
                bytes: bytes.len() as u64,
                blake3: blake3::hash(bytes).to_hex().to_string(),
            })
            .collect(),
    }
}

const MAIN: (&str, &[u8]) = ("main.exp", b"experiment evil {}");

/// An archive whose manifest announces exactly what it holds.
fn honest(files: &[(&str, &[u8])]) -> Entries {
    let all: Vec<(&str, &[u8])> = std::iter::once(MAIN).chain(files.iter().copied()).collect();
    let first = serde_json::to_vec(&manifest(&all)).unwrap();
    let mut entries = vec![(header("manifest.json", &first), first)];
    entries.extend(all.iter().map(|(path, bytes)| (header(path, bytes), bytes.to_vec())));
    entries
}

fn tarred(entries: &Entries) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (header, bytes) in entries {
        archive.append(header, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Unpacks raw bytes; whatever happens, nothing may be left but the target.
fn try_bytes(bytes: &[u8], limits: &Limits) -> Result<Unpacked, String> {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path().join("x.tar.zst"), folder.path().join("room/target"));
    fs::write(&path, bytes).unwrap();
    let result = unpack(&path, &target, limits);
    let left = fs::read_dir(folder.path().join("room")).map(|d| d.count()).unwrap_or(0);
    assert_eq!(left, usize::from(result.is_ok()), "what is refused leaves nothing behind");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing escapes");
    result.map_err(|e| e.to_string())
}

fn try_entries(entries: &Entries) -> Result<Unpacked, String> {
    try_bytes(&zstd::encode_all(tarred(entries).as_slice(), 1).unwrap(), &Limits::default())
}

#[test]
fn what_was_packed_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("x.tar.zst");
    let made = packed(folder.path(), &bundle, true).unwrap();
    let out = unpack(&bundle, &folder.path().join("out"), &Limits::default()).unwrap();
    assert_eq!(out.manifest, made);
    assert_eq!(fs::read_to_string(out.main()).unwrap(), "experiment storyteller {}\n");
    assert_eq!(fs::read_to_string(out.root.join("experiment/data/a.txt")).unwrap(), "once");
    let again = unpack(&bundle, &folder.path().join("out"), &Limits::default()).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
}

#[test]
fn what_was_unpacked_is_taken_up_again_if_nothing_of_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, target) = (folder.path().join("x.tar.zst"), folder.path().join("out"));
    packed(folder.path(), &bundle, true).unwrap();
    let once = || unpack_once(&bundle, &target, &Limits::default());
    let (first, now) = once().unwrap();
    assert!(now);
    fs::create_dir(target.join(".emberlab")).unwrap();
    assert_eq!(once().unwrap(), (first, false), "what a run has added is no obstacle");
    fs::write(target.join("experiment/data/a.txt"), "twice").unwrap();
    let error = once().unwrap_err().to_string();
    assert!(error.contains("`experiment/data/a.txt` has changed since"), "{error}");
    fs::write(target.join("manifest.json"), "{}").unwrap();
    let error = once().unwrap_err().to_string();
    assert!(error.contains("is not this bundle unpacked"), "{error}");
}

#[test]
fn an_honest_archive_passes() {
    let out = try_entries(&honest(&[("data/a.txt", b"a"), ("data/b.txt", b"")])).unwrap();
    assert_eq!(out.manifest.files.len(), 3);
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let cases = [
        ("../evil", "leads out"),
        ("a/../../evil", "leads out"),
        ("/etc/evil", "absolute"),
        ("a//b", "empty part"),
        ("./a", "empty part"),
        ("a\\b", "not every system allows"),
        ("c:evil", "not every system allows"),
        ("a/b:stream", "not every system allows"),
        ("a\nb", "not every system allows"),
        ("NUL.txt", "Windows reserves"),
        ("com1", "Windows reserves"),
        ("a./b", "ends with a dot"),
        ("a /b", "blank"),
        ("e\u{301}.txt", "normal form C"),
        ("experiment/.Emberlab/objects/stage/ab", "lies in a run store"),
    ];
    for (path, why) in cases {
        let error = try_entries(&honest(&[(path, b"x")])).unwrap_err();
        assert!(error.contains(why) && error.contains("nothing was unpacked"), "{path:?}: {error}");
    }
}

#[test]
fn names_that_meet_are_refused() {
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Files<'_>, &str); 5] = [
        (&[("a.txt", b"1"), ("a.txt", b"1")], "announced twice"),
        (&[("a.txt", b"1"), ("A.TXT", b"1")], "only in case"),
        (&[("\u{fb01}.txt", b"1"), ("fi.txt", b"1")], "only in case"),
        (&[("a/x", b"1"), ("A/y", b"1")], "only in case"),
        (&[("a", b"1"), ("a/x", b"1")], "both a file and a folder"),
    ];
    for (files, why) in cases {
        let error = try_entries(&honest(files)).unwrap_err();
        assert!(error.contains(why), "{files:?}: {error}");
    }
    let error = try_entries(&honest(&[("Manifest.json", b"{}")])).unwrap_err();
    assert!(error.contains("only in case"), "{error}");
}

#[test]
fn anything_but_a_plain_file_is_refused() {
    use tar::EntryType as T;
    let kinds = [
        T::Symlink,
        T::Link,
        T::Directory,
        T::Char,
        T::Block,
        T::Fifo,
        T::GNUSparse,
        T::GNULongName,
        T::XHeader,
        T::XGlobalHeader,
    ];
    for kind in kinds {
        let mut entries = honest(&[("a", b"")]);
        let (header, _) = entries.last_mut().unwrap();
        header.set_entry_type(kind);
        header.as_ustar_mut().unwrap().linkname[..11].copy_from_slice(b"/etc/passwd");
        header.set_cksum();
        let error = try_entries(&entries).unwrap_err();
        assert!(error.contains("not a plain file"), "{kind:?}: {error}");
    }
}

#[test]
fn the_manifest_is_the_law() {
    let mut unannounced = honest(&[]);
    unannounced.push((header("more", b"x"), b"x".to_vec()));
    let mut missing = honest(&[("a", b"x")]);
    missing.pop();
    let mut twice = honest(&[("a", b"x")]);
    twice.push(twice.last().unwrap().clone());
    let mut longer = honest(&[("a", b"x")]);
    *longer.last_mut().unwrap() = (header("a", b"xx"), b"xx".to_vec());
    let mut other = honest(&[("a", b"x")]);
    *other.last_mut().unwrap() = (header("a", b"y"), b"y".to_vec());
    let mut late = honest(&[]);
    late.swap(0, 1);
    let later = BundleManifest { schema_version: 9, ..manifest(&[MAIN]) };
    let later = serde_json::to_vec(&later).unwrap();
    let homeless = serde_json::to_vec(&manifest(&[])).unwrap();
    let cases: [(Entries, &str); 9] = [
        (unannounced, "not in the manifest"),
        (missing, "not in the bundle"),
        (twice, "comes twice"),
        (longer, "has 2 bytes, and the manifest says 1"),
        (other, "does not have the contents"),
        (late, "where manifest.json belongs"),
        (vec![(header("manifest.json", &later), later)], "has version 9"),
        (vec![(header("manifest.json", &homeless), homeless)], "main file"),
        (vec![(header("manifest.json", b"{"), b"{".to_vec())], "cannot be read"),
    ];
    for (entries, why) in cases {
        let error = try_entries(&entries).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = vec![0; 200 << 20];
    let bomb = zstd::encode_all(tarred(&honest(&[("a", &zeros)])).as_slice(), 1).unwrap();
    let error = try_bytes(&bomb, &Limits::default()).unwrap_err();
    assert!(error.contains("far more than it should"), "{error}");
    let hidden = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    assert!(try_bytes(&hidden, &Limits::default()).is_err());
    let many = try_bytes(
        &zstd::encode_all(tarred(&honest(&[("a", b""), ("b", b"")])).as_slice(), 1).unwrap(),
        &Limits { files: 2, ..Limits::default() },
    );
    assert!(many.unwrap_err().contains("announces 3 files"));
}

#[test]
fn damage_anywhere_is_found() {
    let whole = zstd::encode_all(tarred(&honest(&[("a", b"hello")])).as_slice(), 1).unwrap();
    for cut in (0..whole.len()).step_by(11) {
        assert!(try_bytes(&whole[..cut], &Limits::default()).is_err(), "cut at {cut}");
    }
    let plain = tarred(&honest(&[("a", b"hello")]));
    let draws = crate::random::Stream::new(1, "damage");
    for i in 0..120 {
        let mut bytes = plain.clone();
        let mut draw = draws.at(i);
        let at = draw.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << draw.below(8);
        // A flip in padding or in a field that means nothing to us may pass; whatever passes is what was announced.
        if let Ok(out) = try_bytes(&zstd::encode_all(bytes.as_slice(), 1).unwrap(), &Limits::default()) {
            assert_eq!(out.manifest.files.len(), 2, "flip at {at}");
        }
    }
    let mut trailing = plain;
    trailing.extend(b"more");
    let error = try_bytes(&zstd::encode_all(trailing.as_slice(), 1).unwrap(), &Limits::default()).unwrap_err();
    assert!(error.contains("something follows its end"), "{error}");
}
