//! `fwdeploy.lock`: the addresses of the peers' DNS names, as the last run of each inventory beside it has used them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::cli::error::CliError;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::LOCK_FILE;
use crate::inventory::document::Cursor;
use crate::inventory::document::Document;
use crate::inventory::document::kind;
use crate::inventory::error::shown;
use crate::inventory::sources::is_host_list;
use crate::model::host_name::Addresses;
use crate::model::host_name::HostName;
use crate::model::host_name::addresses_of_peer;
use crate::model::visible::visible;
use crate::report::json;

/// The version of the file's shape.
const VERSION: &str = "1";

/// The largest file that is read or written, in bytes.
const LARGEST: u64 = 4 << 20;

/// How the file calls a source that is no file: a list of hosts, or a pipe.
const NO_FILE: &str = "-";

/// How long another run may take to write the file.
const PATIENCE: Duration = Duration::from_secs(30);

/// The wait between two attempts to be the only one who writes.
const PAUSE: Duration = Duration::from_millis(20);

/// How many files that an interrupted run has left are passed over.
const ATTEMPTS: u32 = 100;

const HINT: &str =
    "restore it from version control, or delete it: the next run pins what the names lead to then";

/// Where the pins of an inventory are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockPlace {
    path: PathBuf,
    /// The inventory's sources, as seen from the directory of the file.
    sources: Vec<String>,
}

/// Everything in a file: the pins of each inventory, by its sources.
type Content = BTreeMap<Vec<String>, Addresses>;

/// The pins of one inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pins {
    place: LockPlace,
    /// The addresses that the last run has used.
    pub(super) addresses: Addresses,
}

/// How much of the inventory a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: a name that it does not use is on no list any more.
    Whole,
    /// Some of its nodes: other names may be theirs.
    Part,
}

/// What a run changes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PinUpdate {
    place: LockPlace,
    used: Addresses,
    extent: Extent,
}

impl LockPlace {
    /// Returns the place for the inventory that is read from these sources: beside the first one that is a file or a directory. If there is none, it
    /// is in the current directory.
    pub(super) fn of(sources: &[PathBuf]) -> Self {
        let first = sources.iter().find(|path| is_file(path));
        let directory = first.map(|path| beside(path)).unwrap_or_default();
        let name = |path: &PathBuf| match is_file(path) {
            true => seen_from(path, &directory),
            false => NO_FILE.to_string(),
        };
        LockPlace {
            sources: sources.iter().map(name).collect(),
            path: directory.join(LOCK_FILE),
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the same sources are the same inventory the next time.
    fn is_lasting(&self) -> bool {
        self.sources.iter().all(|source| source != NO_FILE)
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }
}

/// Whether a source is a file or a directory: no list of hosts, and no pipe or file that the shell has opened, which nothing can be beside.
fn is_file(source: &Path) -> bool {
    let opened = ["/dev/stdin", "/dev/fd", "/proc"];
    let is_opened = |path: PathBuf| opened.iter().any(|opened| path.starts_with(opened));
    !is_host_list(source)
        && !std::path::absolute(source).is_ok_and(is_opened)
        && fs::metadata(source).is_ok_and(|found| found.is_file() || found.is_dir())
}

/// The directory that a file or directory is in. What is in an inventory's directory, Ansible takes for an inventory.
fn beside(source: &Path) -> PathBuf {
    match source.components().next_back() {
        Some(Component::Normal(_)) => source.parent().unwrap_or(Path::new("")).to_owned(),
        // `.` and `..`
        _ => {
            let real = fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
            real.parent().unwrap_or(&real).to_owned()
        }
    }
}

/// A path as it is seen from a directory, wherever both of them were named from. A link keeps its name.
fn seen_from(path: &Path, directory: &Path) -> String {
    let real = |path: &Path| {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    };
    let path = match (path.components().next_back(), path.file_name()) {
        (Some(Component::Normal(_)), Some(name)) => {
            real(path.parent().unwrap_or(Path::new(""))).join(name)
        }
        _ => real(path),
    };
    let directory = real(directory);
    let shared = path.components().zip(directory.components());
    let shared = shared.take_while(|(one, other)| one == other).count();
    let up = directory.components().skip(shared).map(|_| "..");
    let mut seen = PathBuf::from_iter(up);
    seen.extend(path.components().skip(shared));
    visible(&seen.to_string_lossy())
}

impl Pins {
    /// Reads the pins of an inventory. Without a file there are none.
    ///
    /// # Errors
    /// The file is not one that a run writes.
    pub(super) fn read(place: LockPlace) -> Result<Self, CliError> {
        let mut content = read(&place.path)?.unwrap_or_default();
        let addresses = content.remove(&place.sources).unwrap_or_default();
        Ok(Pins { place, addresses })
    }

    /// The file that they are in.
    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    /// What a run changes that uses these addresses.
    pub(super) fn update(self, used: Addresses, extent: Extent) -> PinUpdate {
        PinUpdate {
            // What somebody lists on the command line is never all that there is.
            extent: match self.place.is_lasting() {
                true => extent,
                false => Extent::Part,
            },
            place: self.place,
            used,
        }
    }
}

impl PinUpdate {
    /// Writes the file if something in it changes: whole or not at all, with what other runs have written meanwhile.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(super) fn write(&self) -> Result<(), CliError> {
        self.write_within(PATIENCE)
    }

    fn write_within(&self, patience: Duration) -> Result<(), CliError> {
        if self.changed(read(&self.place.path)?).is_none() {
            return Ok(());
        }
        let alone = self.wait(patience).map_err(|error| self.failed(&error))?;
        match self.changed(read(&self.place.path)?) {
            Some(content) if content.is_empty() => fs::remove_file(&self.place.path),
            Some(content) => self.replace(&text(&content)),
            None => Ok(()),
        }
        .map_err(|error| self.failed(&error))?;
        // So that it is still there after a loss of power. Not every file system can.
        let _ = alone.sync_all();
        Ok(())
    }

    /// What is to be in the file; `None` if it is.
    fn changed(&self, before: Option<Content>) -> Option<Content> {
        let before = before.unwrap_or_default();
        let mut after = before.clone();
        let pins = after.entry(self.place.sources.clone()).or_default();
        if self.extent == Extent::Whole {
            pins.clear();
        }
        pins.extend(self.used.clone());
        after.retain(|_, pins| !pins.is_empty());
        (after != before).then_some(after)
    }

    /// Waits until no other run writes. Where the file system has no locks, the file is still replaced as a whole.
    fn wait(&self, patience: Duration) -> io::Result<File> {
        let directory = File::open(self.place.directory())?;
        let end = Instant::now() + patience;
        loop {
            match directory.try_lock() {
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(directory),
                Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::other("another process has locked its directory"));
                }
            }
        }
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        if text.len() as u64 > LARGEST {
            return Err(io::Error::other(format!(
                "it would have more than {LARGEST} bytes"
            )));
        }
        let (new, mut file) = self.create()?;
        let written = || -> io::Result<()> {
            file.write_all(text.as_bytes())?;
            if let Ok(before) = fs::metadata(&self.place.path) {
                file.set_permissions(before.permissions())?;
            }
            file.sync_all()?;
            fs::rename(&new, &self.place.path)
        }();
        if written.is_err() {
            // Part of it may be there.
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Creates the file that takes the place of the old one. Whatever is at its path already stays.
    fn create(&self) -> io::Result<(PathBuf, File)> {
        let mut number = 0;
        loop {
            let name = format!(".{LOCK_FILE}.{}.{number}", std::process::id());
            let path = self.place.directory().join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < ATTEMPTS => {
                    number += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn failed(&self, error: &io::Error) -> CliError {
        let path = self.place.path.display();
        CliError::new(format!("cannot pin the addresses of names in `{path}`: {error}"))
            .hint("no node was connected to. Make the directory writable: a run writes there what names have led to, before it changes a node")
    }
}

/// Reads a file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Content>, CliError> {
    let name = path.display().to_string();
    let refused = |message: String| InputError::in_file(&name, message).hint(HINT);
    let unreadable = |error: io::Error| refused(format!("cannot be read: {error}"));
    // A pipe would be waited for, and what is written replaces a link.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error).into()),
        Ok(found) if !found.is_file() => {
            let kind = match (found.is_symlink(), found.is_dir()) {
                (true, _) => "a symbolic link",
                (_, true) => "a directory",
                _ => "a special file",
            };
            return Err(refused(format!("this is {kind}, where a file is expected")).into());
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let mut bounded = file.take(LARGEST + 1);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(refused(format!("has more than {LARGEST} bytes")).into());
    }
    let parsed = Document::from_bytes(&name, &bytes).and_then(|document| parse(&document));
    // Each of them with what can be done about it.
    let hinted = |errors: InputErrors| {
        let mut all = InputErrors::none();
        all.extend(errors.into_iter().map(|error| error.hint(HINT)));
        all
    };
    Ok(Some(parsed.map_err(hinted)?))
}

fn parse(document: &Document) -> Result<Content, InputErrors> {
    let root = document.root();
    let fields = fields(&root, "the file", ["version", "inventories"])?;
    let [version, inventories] = fields;
    let known = version.as_str().map(str::to_string).or_else(|| {
        let number = version.value().as_u64();
        number.map(|number| number.to_string())
    });
    if known.as_deref() != Some(VERSION) {
        let message = format!("`version` is not {VERSION}, the one that this fwdeploy knows");
        return Err(InputError::at(version.location(), message).into());
    }
    let mut content = Content::new();
    for inventory in list(&inventories, "inventories")? {
        let [sources, names] = self::fields(&inventory, "an inventory", ["sources", "names"])?;
        let at = sources.location();
        let sources = list(&sources, "sources")?;
        let sources: Result<Vec<String>, InputErrors> = sources
            .iter()
            .map(|source| text_of(source, "a source").map(str::to_string))
            .collect();
        if content.insert(sources?, addresses(&names)?).is_some() {
            return Err(InputError::at(at, "the same inventory is listed twice").into());
        }
    }
    Ok(content)
}

fn addresses(names: &Cursor<'_>) -> Result<Addresses, InputErrors> {
    let mut found = Addresses::new();
    for (text, listed) in entries(names, "`names`")? {
        let wrong = |message: String| -> InputErrors {
            let at = listed.key_location().unwrap_or_else(|| listed.location());
            InputError::at(at, message).into()
        };
        let name: HostName = text
            .parse()
            .map_err(|_| wrong(format!("`{}` is not a DNS name", shown(text))))?;
        let mut addresses = BTreeSet::new();
        for address in list(&listed, text)? {
            let written = text_of(&address, "an address")?;
            let parsed: IpAddr = written.parse().map_err(|_| {
                let message = format!("`{}` is not an IP address", shown(written));
                InputError::at(address.location(), message)
            })?;
            addresses.insert(parsed);
        }
        let addresses = addresses_of_peer(addresses).map_err(|why| wrong(why.to_string()))?;
        if found.insert(name, addresses).is_some() {
            return Err(wrong(format!("`{}` is there twice", shown(text))));
        }
    }
    Ok(found)
}

/// The values of a mapping that has these keys and no others.
fn fields<'d, const N: usize>(
    cursor: &Cursor<'d>,
    what: &str,
    keys: [&str; N],
) -> Result<[Cursor<'d>; N], InputErrors> {
    let mut entries: BTreeMap<&str, Cursor<'d>> = entries(cursor, what)?.into_iter().collect();
    let mut missing = InputErrors::none();
    let found = keys.map(|key| {
        let found = entries.remove(key);
        if found.is_none() {
            let message = format!("{what} has no `{key}`");
            missing.push(InputError::at(cursor.location(), message));
        }
        // Not returned if one is missing.
        found.unwrap_or(*cursor)
    });
    missing.or(())?;
    match entries.into_iter().next() {
        Some((key, value)) => {
            let at = value.key_location().unwrap_or_else(|| value.location());
            let message = format!("{what} cannot have `{}`", shown(key));
            Err(InputError::at(at, message).into())
        }
        None => Ok(found),
    }
}

fn entries<'d>(cursor: &Cursor<'d>, what: &str) -> Result<Vec<(&'d str, Cursor<'d>)>, InputErrors> {
    cursor
        .entries()
        .ok_or_else(|| expected(cursor, what, "a mapping"))
}

fn list<'d>(cursor: &Cursor<'d>, what: &str) -> Result<Vec<Cursor<'d>>, InputErrors> {
    cursor
        .elements()
        .ok_or_else(|| expected(cursor, &format!("`{}`", shown(what)), "a list"))
}

fn text_of<'d>(cursor: &Cursor<'d>, what: &str) -> Result<&'d str, InputErrors> {
    cursor
        .as_str()
        .ok_or_else(|| expected(cursor, what, "a text"))
}

fn expected(cursor: &Cursor<'_>, what: &str, wanted: &str) -> InputErrors {
    let found = kind(cursor.value());
    InputError::at(
        cursor.location(),
        format!("{what} is {wanted}, and this is {found}"),
    )
    .into()
}

/// The file's text: a line for each name, so that two changes of it can be merged.
fn text(content: &Content) -> String {
    // JSON's texts are texts of YAML.
    let quoted = |text: &str| json::pretty(&text).trim_end().to_string();
    let list = |texts: Vec<String>| {
        let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        quoted.join(", ")
    };
    let mut text = String::from(
        "# What the DNS names of peers led to when `fwdeploy run` last used them. Keep this file with the inventory.\n",
    );
    let _ = writeln!(text, "version: {VERSION}\ninventories:");
    for (sources, names) in content {
        let _ = writeln!(text, "  - sources: [{}]\n    names:", list(sources.clone()));
        for (name, addresses) in names {
            let addresses = addresses.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "      {name}: [{}]", list(addresses));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn pinned(names: &[(&str, &str)]) -> Addresses {
        let pin = |(name, addresses): &(&str, &str)| {
            let addresses = addresses.split(' ').map(|one| one.parse().unwrap());
            (name.parse().unwrap(), addresses.collect())
        };
        names.iter().map(pin).collect()
    }

    /// A folder with these inventories, and the place of the first one's pins.
    fn folder(inventories: &[&str]) -> (tempfile::TempDir, LockPlace) {
        let folder = tempfile::tempdir().unwrap();
        for inventory in inventories {
            fs::write(folder.path().join(inventory), "").unwrap();
        }
        let place = LockPlace::of(&[folder.path().join(inventories[0])]);
        (folder, place)
    }

    fn write(place: &LockPlace, names: &[(&str, &str)], extent: Extent) {
        let pins = Pins::read(place.clone()).unwrap();
        pins.update(pinned(names), extent).write().unwrap();
    }

    fn error(result: Result<impl Sized, CliError>) -> String {
        match result.err().expect("an error") {
            CliError::Input(errors) => errors.to_string(),
            CliError::Other { message, .. } => message,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let (folder, place) = folder(&["in \"ven: tory\u{7}.yml"]);
        let names = [
            ("a.example.org", "203.0.113.7 203.0.113.8 2001:db8::7"),
            ("1.e5", "10.1.2.3"),
            ("yes.no", "10.1.2.3"),
            ("_p2p.example.org", "10.1.2.3"),
        ];
        write(&place, &names, Extent::Whole);
        let read = Pins::read(place).unwrap();
        assert_eq!(read.addresses, pinned(&names));
        let text = fs::read_to_string(folder.path().join(LOCK_FILE)).unwrap();
        let line = "      a.example.org: [\"203.0.113.7\", \"203.0.113.8\", \"2001:db8::7\"]\n";
        assert!(text.contains(line), "{text}");
        // Nothing else is left.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    /// To see it fail: clear the pins of the whole file in `changed`, or for a part.
    #[test]
    fn only_a_run_over_the_whole_inventory_forgets_a_name_and_only_its_own() {
        let (folder, place) = folder(&["prod.yml", "test.yml"]);
        let other = LockPlace::of(&[folder.path().join("test.yml")]);
        write(
            &place,
            &[("a.org", "10.0.0.1"), ("b.org", "10.0.0.2")],
            Extent::Whole,
        );
        write(
            &other,
            &[("a.org", "10.0.0.9"), ("c.org", "10.0.0.3")],
            Extent::Whole,
        );
        let of = |place: &LockPlace| Pins::read(place.clone()).unwrap().addresses;
        write(&place, &[("a.org", "10.0.0.4")], Extent::Part);
        assert_eq!(
            of(&place),
            pinned(&[("a.org", "10.0.0.4"), ("b.org", "10.0.0.2")])
        );
        write(&place, &[("a.org", "10.0.0.4")], Extent::Whole);
        assert_eq!(of(&place), pinned(&[("a.org", "10.0.0.4")]));
        assert_eq!(
            of(&other),
            pinned(&[("a.org", "10.0.0.9"), ("c.org", "10.0.0.3")])
        );
        // Without a name there is no file.
        write(&place, &[], Extent::Whole);
        assert!(folder.path().join(LOCK_FILE).exists());
        write(&other, &[], Extent::Whole);
        assert!(!folder.path().join(LOCK_FILE).exists());
        // What is named on the command line is not all that there is.
        let list = LockPlace {
            sources: vec![NO_FILE.to_string()],
            ..place
        };
        write(&list, &[("a.org", "10.0.0.1")], Extent::Whole);
        write(&list, &[], Extent::Whole);
        assert_eq!(of(&list), pinned(&[("a.org", "10.0.0.1")]));
    }

    #[test]
    fn the_file_is_beside_the_inventory_however_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let path = |name: &str| root.join(name);
        fs::create_dir_all(path("inv/prod")).unwrap();
        fs::create_dir_all(path("common")).unwrap();
        for file in ["inv/hosts.yml", "inv/prod/hosts.yml", "common/all.yml"] {
            fs::write(path(file), "").unwrap();
        }
        symlink("hosts.yml", path("inv/link.yml")).unwrap();
        for (sources, lock, names) in [
            (&["inv/hosts.yml"][..], "inv", &["hosts.yml"][..]),
            (&["common/../inv/hosts.yml"], "inv", &["hosts.yml"]),
            (&["inv/link.yml"], "inv", &["link.yml"]),
            // A directory of inventories has nothing else in it.
            (&["inv/prod"], "inv", &["prod"]),
            (&["inv/prod/"], "inv", &["prod"]),
            (&["inv/prod/."], "inv", &["prod"]),
            (&["inv/prod/../prod/hosts.yml"], "inv/prod", &["hosts.yml"]),
            (
                &["inv/hosts.yml", "inv/prod"],
                "inv",
                &["hosts.yml", "prod"],
            ),
            (
                &["inv/hosts.yml", "common/all.yml"],
                "inv",
                &["hosts.yml", "../common/all.yml"],
            ),
        ] {
            let sources: Vec<PathBuf> = sources.iter().map(|source| path(source)).collect();
            let place = LockPlace::of(&sources);
            let directory = fs::canonicalize(place.directory()).unwrap();
            assert_eq!(directory, path(lock), "{sources:?}");
            assert_eq!(place.sources, names, "{sources:?}");
        }
        // What is no file has nothing beside it.
        let list = PathBuf::from("a,b,");
        let place = LockPlace::of(&[list.clone(), "/dev/null".into()]);
        assert_eq!(
            (place.directory(), &*place.sources),
            (Path::new("."), &["-".to_string(), "-".to_string()][..])
        );
        let place = LockPlace::of(&[list, path("inv/hosts.yml")]);
        assert_eq!(place.directory(), path("inv"));
        assert_eq!(place.sources, ["-", "hosts.yml"]);
        assert_eq!(
            LockPlace::of(&["/".into()]).path(),
            Path::new("/fwdeploy.lock")
        );
    }

    #[test]
    fn a_file_that_says_something_else_is_refused_at_its_place() {
        let (folder, place) = folder(&["inventory.yml"]);
        let file = folder.path().join(LOCK_FILE);
        let names = |names: &str| {
            format!("version: 1\ninventories:\n  - sources: [inventory.yml]\n    names: {names}\n")
        };
        write(&place, &[("a.org", "10.0.0.1")], Extent::Whole);
        let whole = fs::read_to_string(&file).unwrap();
        let conflict = format!("<<<<<<< ours\n{whole}=======\n{whole}>>>>>>> theirs\n");
        for (text, said) in [
            (String::new(), "the file is a mapping"),
            ("[]".to_string(), "the file is a mapping"),
            ("version: 1".to_string(), "no `inventories`"),
            (
                "version: 2\ninventories: []".to_string(),
                "lock:1:10: `version` is not 1",
            ),
            (
                "version: 1\ninventories: {}".to_string(),
                "`inventories` is a list",
            ),
            (
                "version: 1\ninventories: []\nmore: 1".to_string(),
                "cannot have `more`",
            ),
            (names("[]"), "`names` is a mapping"),
            (
                names("{node-1: [10.0.0.1]}"),
                "lock:4:13: `node-1` is not a DNS name",
            ),
            (names("{a.org: 10.0.0.1}"), "`a.org` is a list"),
            (
                names("{a.org: [203.0.113.300]}"),
                "lock:4:21: `203.0.113.300` is not an IP address",
            ),
            (names("{a.org: [10.0.0.0/8]}"), "is not an IP address"),
            (names("{a.org: [\"\\e[2J\"]}"), "is not an IP address"),
            (names("{a.org: [{}]}"), "an address is a text"),
            (names("{a.org: []}"), "it has no address"),
            (
                names("{a.org: [127.0.0.1]}"),
                "127.0.0.1 is not the address of a peer",
            ),
            (
                names("{a.org: ['::ffff:0.0.0.0']}"),
                "is not the address of a peer",
            ),
            (
                names("{a.org: [10.0.0.1], A.org: [10.0.0.2]}"),
                "`A.org` is there twice",
            ),
            (names("{a.org: [10.0.0.1], a.org: [10.0.0.2]}"), "a.org"),
            (
                format!("{whole}{}", &whole[whole.find("  - ").unwrap()..]),
                "listed twice",
            ),
            (whole[..whole.len() - 5].to_string(), ""),
            (conflict, ""),
            ("x".repeat(LARGEST as usize + 1), "more than 4194304 bytes"),
        ] {
            fs::write(&file, &text).unwrap();
            let start: String = text.chars().take(200).collect();
            let said_then = error(Pins::read(place.clone()));
            assert!(said_then.contains(said), "{start}: {said_then}");
            assert!(said_then.contains("delete it"), "{start}: {said_then}");
            assert!(!said_then.contains('\u{1b}'), "{start}");
            // Nor is it overwritten.
            let pins = Pins {
                place: place.clone(),
                addresses: Addresses::new(),
            };
            let update = pins.update(pinned(&[("b.org", "10.0.0.1")]), Extent::Whole);
            assert!(update.write().is_err(), "{start}");
            assert!(fs::read_to_string(&file).unwrap() == text, "{start}");
        }
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(error(Pins::read(place)).contains("UTF-8"));
    }

    #[test]
    fn what_is_no_file_is_refused_and_stays() {
        let (folder, place) = folder(&["inventory.yml", "elsewhere"]);
        let file = folder.path().join(LOCK_FILE);
        let refused = |said: &str| {
            let text = error(Pins::read(place.clone()));
            assert!(text.contains(said), "{text}");
            let pins = Pins {
                place: place.clone(),
                addresses: Addresses::new(),
            };
            let update = pins.update(pinned(&[("b.org", "10.0.0.1")]), Extent::Whole);
            assert!(error(update.write()).contains(said));
        };
        symlink("elsewhere", &file).unwrap();
        refused("a symbolic link");
        assert_eq!(
            fs::read_to_string(folder.path().join("elsewhere")).unwrap(),
            ""
        );
        fs::remove_file(&file).unwrap();
        symlink("nowhere", &file).unwrap();
        refused("a symbolic link");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        refused("a directory");
        fs::remove_dir(&file).unwrap();
        // A socket, instead of a pipe that nobody writes to.
        let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
        refused("a special file");
    }

    #[test]
    fn a_directory_that_takes_no_file_is_told_and_nothing_is_half_written() {
        let (folder, place) = folder(&["inventory.yml"]);
        write(&place, &[("a.org", "10.0.0.1")], Extent::Whole);
        // What an interrupted run of the same number has left stays.
        let left = format!(".{LOCK_FILE}.{}.0", std::process::id());
        fs::write(folder.path().join(&left), "left").unwrap();
        write(&place, &[("a.org", "10.0.0.2")], Extent::Whole);
        assert_eq!(
            fs::read_to_string(folder.path().join(&left)).unwrap(),
            "left"
        );
        // The mode stays, too.
        let file = folder.path().join(LOCK_FILE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        write(&place, &[("a.org", "10.0.0.3")], Extent::Whole);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let before = fs::read_to_string(&file).unwrap();
        // Somebody else holds the directory.
        let other = File::open(folder.path()).unwrap();
        other.lock().unwrap();
        let update = Pins::read(place.clone()).unwrap();
        let update = update.update(pinned(&[("a.org", "10.0.0.4")]), Extent::Whole);
        let held = update.write_within(Duration::from_millis(100));
        assert!(error(held).contains("another process has locked its directory"));
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
        // What changes nothing needs no directory that can be written to.
        let update = Pins::read(place).unwrap();
        update
            .update(pinned(&[("a.org", "10.0.0.3")]), Extent::Whole)
            .write()
            .unwrap();
    }

    /// To see it fail: leave `wait` out of `write`, or write into the file itself.
    #[test]
    fn runs_at_the_same_time_lose_nothing_of_each_other() {
        let (folder, place) = folder(&["inventory.yml"]);
        let file = folder.path().join(LOCK_FILE);
        thread::scope(|scope| {
            for number in 0..4 {
                let place = &place;
                scope.spawn(move || {
                    for round in 1..=10 {
                        let address = format!("10.0.{number}.{round}");
                        write(
                            place,
                            &[(&format!("n{number}.org"), &address)],
                            Extent::Part,
                        );
                    }
                });
            }
            // Whoever reads meanwhile reads a whole file.
            for _ in 0..200 {
                read(&file).unwrap();
            }
        });
        let pins = Pins::read(place).unwrap().addresses;
        let expected: Vec<(String, String)> = (0..4)
            .map(|number| (format!("n{number}.org"), format!("10.0.{number}.10")))
            .collect();
        let expected: Vec<(&str, &str)> = expected
            .iter()
            .map(|(name, address)| (&**name, &**address))
            .collect();
        assert_eq!(pins, pinned(&expected));
    }
}
