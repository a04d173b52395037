//! Which source file uses which: read from `use` lines and from the paths in code.
//!
//! A name is followed to the file that defines it, through each re-export. A re-export alone is no use of a file. Code of tests is left
//! out. A call of a method is not seen, so an `impl` in another file than the type's is no use either.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;

/// The place of a file's module, from the crate's root: `engine`, `session`, `read`.
pub type Module = Vec<String>;

/// The files that each file uses.
pub struct Uses(BTreeMap<Module, BTreeSet<Module>>);

impl Uses {
    /// Reads files by their modules.
    pub fn of<'a>(files: impl IntoIterator<Item = (Module, &'a str)>) -> Uses {
        let mut read: BTreeMap<Module, File> = BTreeMap::new();
        for (module, text) in files {
            let tokens: TokenStream = text.parse().expect("Rust can be read");
            let mut file = File::default();
            file.read(tokens);
            read.insert(module, file);
        }
        let tests: BTreeSet<Module> = read
            .iter()
            .flat_map(|(module, file)| file.tests.iter().map(|name| child(module, name)))
            .collect();
        read.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        for (module, file) in &read {
            let (file, stars) = (module.join("/"), &file.stars);
            assert!(
                stars.is_empty(),
                "{file}: `{stars:?}::*` hides what is used"
            );
        }
        let all = read.iter();
        let uses = all.map(|(module, file)| (module.clone(), used(&read, module, file)));
        Uses(uses.collect())
    }

    /// The files that a file uses itself.
    pub fn by(&self, module: &Module) -> &BTreeSet<Module> {
        let uses = self.0.get(module);
        uses.unwrap_or_else(|| panic!("there is no file {}", module.join("/")))
    }

    /// The files that a file uses, and those that they use, and so on.
    pub fn reached_from(&self, module: &Module) -> BTreeSet<Module> {
        let mut reached = BTreeSet::new();
        let mut next = vec![module];
        while let Some(module) = next.pop() {
            let new = self.by(module).iter();
            next.extend(new.filter(|used| reached.insert((*used).clone())));
        }
        reached
    }

    /// For each set of files in which every one reaches every other: the shortest cycle, which ends where it starts.
    pub fn circles(&self) -> Vec<Vec<Module>> {
        let mut circles: Vec<Vec<Module>> = Vec::new();
        let mut seen: BTreeSet<Module> = BTreeSet::new();
        for module in self.0.keys() {
            if seen.contains(module) {
                continue;
            }
            let reached = self.reached_from(module);
            if reached.contains(module) {
                let back = |other: &&Module| self.reached_from(other).contains(module);
                let together: Vec<Module> = reached.iter().filter(back).cloned().collect();
                let ways = together.iter().map(|from| self.way_round(from));
                circles.extend(ways.min_by_key(Vec::len));
                seen.extend(together);
            }
        }
        circles
    }

    fn way_round(&self, from: &Module) -> Vec<Module> {
        let mut ways = VecDeque::from([vec![from.clone()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for next in self.by(&way[way.len() - 1]) {
                let mut on = way.clone();
                on.push(next.clone());
                if next == from {
                    return on;
                }
                if seen.insert(next.clone()) {
                    ways.push_back(on);
                }
            }
        }
        unreachable!("only what reaches itself is asked about")
    }
}

/// The uses of one file, without its tests.
#[derive(Default)]
struct File {
    /// The paths of its `use` lines, as they are written, by the names that they give.
    imports: BTreeMap<String, Vec<String>>,
    /// Those of these names that it re-exports.
    reexported: BTreeSet<String>,
    /// Paths in code, as they are written.
    paths: BTreeSet<Vec<String>>,
    /// Every word in code that is no field and no method.
    words: BTreeSet<String>,
    /// The paths that it imports with a glob.
    stars: Vec<String>,
    /// Its children that are tests.
    tests: BTreeSet<String>,
}

impl File {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut public = false;
        while at < tokens.len() {
            if is_of_a_test(&tokens[at..]) {
                at = self.skip_test(&tokens, at + 2);
                continue;
            }
            let word = word(&tokens[at]);
            match (&tokens[at], word.as_deref()) {
                (_, Some("pub")) => {
                    public = true;
                    at += 1;
                    // `pub(super)`
                    let scope = tokens.get(at);
                    at += usize::from(
                        scope.is_some_and(|t| inside(t, Delimiter::Parenthesis).is_some()),
                    );
                    continue;
                }
                (_, Some("use")) => {
                    let end = at + until(&tokens[at..], ';');
                    self.read_use(&tokens[at + 1..end], &[], public);
                    at = end;
                }
                (_, Some("mod")) => at += 1,
                (TokenTree::Group(group), _) => self.read(group.stream()),
                (TokenTree::Ident(_), _) => at += self.read_path(&tokens, at),
                _ => {}
            }
            public = false;
            at += 1;
        }
    }

    /// Skips an item of a test. If it is a module, notes its name.
    fn skip_test(&mut self, tokens: &[TokenTree], mut at: usize) -> usize {
        while at < tokens.len() {
            let is_module = word(&tokens[at]).as_deref() == Some("mod");
            if let Some(name) = tokens.get(at + 1).and_then(word).filter(|_| is_module) {
                self.tests.insert(name);
            }
            at += 1;
            let ended = inside(&tokens[at - 1], Delimiter::Brace).is_some();
            if ended || is(&tokens[at - 1], ';') {
                break;
            }
        }
        at
    }

    /// Reads the tokens after `use`: a path that ends in a name, a name with an alias, a glob, or several in braces.
    fn read_use(&mut self, tokens: &[TokenTree], before: &[String], public: bool) {
        let mut path = before.to_vec();
        let mut name = None;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match word(token).as_deref() {
                Some("as") => {
                    name = tokens.get(at + 1).and_then(word);
                    break;
                }
                Some(segment) => path.push(segment.to_string()),
                None => {}
            }
            if let Some(group) = inside(token, Delimiter::Brace) {
                let group: Vec<TokenTree> = group.into_iter().collect();
                for one in group.split(|token| is(token, ',')) {
                    self.read_use(one, &path, public);
                }
                return;
            }
            if is(token, '*') {
                self.stars.push(path.join("::"));
                return;
            }
            at += 1;
        }
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let Some(name) = name.or_else(|| path.last().cloned()) else {
            return;
        };
        if public {
            self.reexported.insert(name.clone());
        }
        self.imports.insert(name, path);
    }

    /// Reads a path that begins here, and returns how many tokens it has after the first.
    fn read_path(&mut self, tokens: &[TokenTree], begin: usize) -> usize {
        let mut path: Vec<String> = word(&tokens[begin]).into_iter().collect();
        let mut at = begin + 1;
        while tokens.len() > at + 2 && is(&tokens[at], ':') && is(&tokens[at + 1], ':') {
            match word(&tokens[at + 2]) {
                Some(segment) => path.push(segment),
                None => break,
            }
            at += 3;
        }
        let before = begin.checked_sub(1).map(|before| &tokens[before]);
        // After a dot there is a field or a method, after a colon the rest of a path that begins with `::` or `<T>::`.
        let own = !before.is_some_and(|token| is(token, '.'));
        let rest = begin >= 2 && is(&tokens[begin - 1], ':') && is(&tokens[begin - 2], ':');
        if own && !rest {
            self.words.extend(path.first().cloned());
            if path.len() > 1 {
                self.paths.insert(path);
            }
        }
        at - begin - 1
    }
}

/// The files that a file uses.
fn used(all: &BTreeMap<Module, File>, module: &Module, file: &File) -> BTreeSet<Module> {
    let imports = file.imports.iter();
    // A re-exported name is used if the code has the word.
    let imports =
        imports.filter(|(name, _)| !file.reexported.contains(*name) || file.words.contains(*name));
    let paths = imports.map(|(_, path)| path).chain(&file.paths);
    let mut used: BTreeSet<Module> = paths
        .filter_map(|path| definer(all, module, path, 0))
        .collect();
    used.remove(module);
    used
}

/// The file that defines what a path of a file names; `None` for a whole module and for what is not of this crate.
fn definer(
    all: &BTreeMap<Module, File>,
    from: &Module,
    path: &[String],
    hops: usize,
) -> Option<Module> {
    assert!(hops < 20, "{} goes round in itself", path.join("::"));
    let mut at = Module::new();
    let mut rest = path;
    match path[0].as_str() {
        "crate" => rest = &path[1..],
        "self" | "super" => {
            at = from.clone();
            while let Some((first, others)) = rest.split_first() {
                match first.as_str() {
                    "self" => {}
                    "super" => {
                        at.pop();
                    }
                    _ => break,
                }
                rest = others;
            }
        }
        first if all.contains_key(&child(from, first)) => at = from.clone(),
        first => {
            // A name that a `use` of the same file gives; a crate gives its own name.
            let import = all.get(from)?.imports.get(first)?;
            if import[0] == first {
                return None;
            }
            let whole: Vec<String> = import.iter().chain(&path[1..]).cloned().collect();
            return definer(all, from, &whole, hops + 1);
        }
    }
    while let Some((first, others)) = rest.split_first() {
        if !all.contains_key(&child(&at, first)) {
            break;
        }
        at = child(&at, first);
        rest = others;
    }
    let name = rest.first()?;
    let file = all.get(&at)?;
    match file.imports.get(name) {
        Some(import) => {
            let whole: Vec<String> = import.iter().chain(&rest[1..]).cloned().collect();
            definer(all, &at, &whole, hops + 1)
        }
        None => Some(at),
    }
}

fn child(module: &[String], name: &str) -> Module {
    let mut child = module.to_vec();
    child.push(name.to_string());
    child
}

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    }
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn inside(token: &TokenTree, delimiter: Delimiter) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// How many tokens are before a sign.
fn until(tokens: &[TokenTree], sign: char) -> usize {
    let found = tokens.iter().position(|token| is(token, sign));
    found.unwrap_or(tokens.len())
}

/// Whether `#[cfg(test)]` is here.
fn is_of_a_test(tokens: &[TokenTree]) -> bool {
    let [hash, attribute, ..] = tokens else {
        return false;
    };
    let attribute = inside(attribute, Delimiter::Bracket).map(|attribute| attribute.to_string());
    let attribute = attribute.map(|text| text.replace(' ', ""));
    is(hash, '#') && attribute.as_deref() == Some("cfg(test)")
}
