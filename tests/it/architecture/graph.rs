//! The import graph of the crate, file by file, from its own syntax.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Type, UseTree, Visibility};

/// The files of a crate, and the names that each takes from each.
#[derive(Default)]
pub(crate) struct Graph {
    /// Every source file that is compiled outside of tests, relative to `src`.
    pub(crate) files: BTreeSet<String>,
    /// For each file, the files whose names it uses, with those names.
    pub(crate) edges: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Inherent impls: the type's name, the file that defines it, the file of the impl.
    pub(crate) impls: BTreeSet<(String, String, String)>,
    /// For each file, the features that its conditions name.
    pub(crate) features: BTreeMap<String, BTreeSet<String>>,
    /// The modules of which unused items are not reported, by the condition for that.
    pub(crate) unreported: BTreeMap<String, String>,
}

impl Graph {
    /// Reads the crate whose root is `lib.rs` in `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut scopes = Scopes::default();
        scopes.load(src, "lib.rs".to_owned(), Vec::new(), src.to_owned());
        let mut graph = Self::default();
        let paths: Vec<_> = scopes.modules.keys().cloned().collect();
        for path in paths {
            graph.add(&scopes, &path);
        }
        graph
    }

    fn add(&mut self, scopes: &Scopes, path: &[String]) {
        let module = &scopes.modules[path];
        self.files.insert(module.file.clone());
        let mut uses = NamedPaths::default();
        features(&module.attributes, &mut uses.features);
        self.add_unreported(&module.file, &module.attributes);
        for item in module.items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(inner) => {
                    features(&inner.attrs, &mut uses.features);
                    self.add_unreported(&format!("{}: {}", module.file, inner.ident), &inner.attrs);
                }
                Item::Use(import) => uses.visit_item_use(import),
                Item::Impl(block) => {
                    if block.trait_.is_none()
                        && let Type::Path(of) = &*block.self_ty
                    {
                        let names: Vec<_> =
                            of.path.segments.iter().map(|part| part.ident.to_string()).collect();
                        if let Some(Place::Definition(file, name)) = scopes.resolve(path, &names, 0)
                        {
                            self.impls.insert((name, file, module.file.clone()));
                        }
                    }
                    uses.visit_item(item);
                }
                item => uses.visit_item(item),
            }
        }
        self.features.entry(module.file.clone()).or_default().append(&mut uses.features);
        for names in uses.paths {
            if let Some(Place::Definition(file, name)) = scopes.resolve(path, &names, 0)
                && file != module.file
            {
                let edges = self.edges.entry(module.file.clone()).or_default();
                edges.entry(file).or_default().insert(name);
            }
        }
        // Within one module, a name that is only passed on is no use of it.
        for names in uses.reexports {
            if let Some(Place::Definition(file, name)) = scopes.resolve(path, &names, 0)
                && self::module(&file) != self::module(&module.file)
            {
                let edges = self.edges.entry(module.file.clone()).or_default();
                edges.entry(file).or_default().insert(name);
            }
        }
    }

    fn add_unreported(&mut self, module: &str, attributes: &[Attribute]) {
        for attribute in attributes {
            if let syn::Meta::List(list) = &attribute.meta {
                let text = list.tokens.to_string();
                let hides = ["dead_code", "unused"].iter().any(|lint| text.contains(lint));
                let condition = match text.split_once("allow") {
                    Some((condition, _)) if list.path.is_ident("cfg_attr") => condition,
                    _ => "",
                };
                if hides && (list.path.is_ident("allow") || !condition.is_empty()) {
                    let condition = condition.trim_end_matches([' ', ',']).to_owned();
                    self.unreported.insert(module.to_owned(), condition);
                }
            }
        }
    }

    /// The groups of files that import each other, directly or around.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<_, _> = self
            .files
            .iter()
            .map(|file| (file.as_str(), self.files_reachable_from(file)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for file in &self.files {
            if !seen.contains(file) && reach[file.as_str()].contains(file.as_str()) {
                let circle: Vec<_> = self
                    .files
                    .iter()
                    .filter(|other| {
                        reach[file.as_str()].contains(other.as_str())
                            && reach[other.as_str()].contains(file.as_str())
                    })
                    .cloned()
                    .collect();
                seen.extend(circle.iter().cloned());
                circles.push(circle);
            }
        }
        circles
    }

    fn files_reachable_from<'g>(&'g self, file: &str) -> BTreeSet<&'g str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = vec![file];
        while let Some(file) = open.pop() {
            for next in self.edges.get(file).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached
    }
}

/// The module of a file: the first part of its path.
pub(crate) fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// A module: its file, its inner attributes, its items, and what each name in it means.
struct Module {
    file: String,
    attributes: Vec<Attribute>,
    items: Vec<Item>,
    names: BTreeMap<String, Name>,
    globs: Vec<Vec<String>>,
}

enum Name {
    Defined,
    Module(Vec<String>),
    Import(Vec<String>),
}

#[derive(Clone)]
enum Place {
    Definition(String, String),
    Module(Vec<String>),
}

#[derive(Default)]
struct Scopes {
    modules: BTreeMap<Vec<String>, Module>,
}

impl Scopes {
    /// Reads a file as the module `path`; its children are in `folder`.
    fn load(&mut self, src: &Path, file: String, path: Vec<String>, folder: PathBuf) {
        let text = std::fs::read_to_string(src.join(&file)).unwrap_or_else(|error| {
            panic!("cannot read {file}: {error}");
        });
        let inserted = path.clone();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.insert(src, file, path, &folder, parsed.items);
        self.modules.get_mut(&inserted).expect("it was inserted").attributes = parsed.attrs;
    }

    fn insert(
        &mut self,
        src: &Path,
        file: String,
        path: Vec<String>,
        folder: &Path,
        items: Vec<Item>,
    ) {
        let (mut names, mut globs) = (BTreeMap::new(), Vec::new());
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let child: Vec<_> = path.iter().cloned().chain([name.clone()]).collect();
                    self.child(src, &file, child.clone(), folder, inner);
                    names.insert(name, Name::Module(child));
                }
                Item::Use(import) => {
                    for (name, target) in leaves(import) {
                        match name {
                            Some(name) => {
                                names.entry(name).or_insert(Name::Import(target));
                            }
                            None => globs.push(target),
                        }
                    }
                }
                item => {
                    if let Some(name) = defined_name(item) {
                        names.insert(name, Name::Defined);
                    }
                }
            }
        }
        self.modules.insert(path, Module { file, attributes: Vec::new(), items, names, globs });
    }

    fn child(&mut self, src: &Path, file: &str, path: Vec<String>, folder: &Path, item: &ItemMod) {
        let name = item.ident.to_string();
        if let Some((_, items)) = &item.content {
            self.insert(src, file.to_owned(), path, &folder.join(&name), items.clone());
            return;
        }
        let flat = folder.join(format!("{name}.rs"));
        let nested = folder.join(&name).join("mod.rs");
        let found = match named_path(&item.attrs) {
            Some(named) => src.join(file).parent().map(|folder| folder.join(named)),
            None if flat.exists() => Some(flat),
            None => nested.exists().then_some(nested),
        };
        if let Some(found) = found.filter(|found| found.exists()) {
            let file = found.strip_prefix(src).unwrap_or(&found).display().to_string();
            self.load(src, file, path, folder.join(name));
        }
    }

    /// What a path means that is written in the module `from`.
    fn resolve(&self, from: &[String], names: &[String], depth: u8) -> Option<Place> {
        if depth > 16 {
            return None;
        }
        let (mut at, mut rest) = (from.to_vec(), names);
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop()?;
                }
                _ => break,
            }
            rest = after;
        }
        let mut place = Place::Module(at);
        for name in rest {
            place = match place {
                Place::Module(module) => self.lookup(&module, name, depth)?,
                definition => definition,
            };
        }
        Some(place)
    }

    fn lookup(&self, at: &[String], name: &str, depth: u8) -> Option<Place> {
        let module = self.modules.get(at)?;
        match module.names.get(name) {
            Some(Name::Defined) => Some(Place::Definition(module.file.clone(), name.to_owned())),
            Some(Name::Module(child)) => Some(Place::Module(child.clone())),
            Some(Name::Import(target)) => self.resolve(at, target, depth + 1),
            None => {
                module.globs.iter().find_map(|glob| match self.resolve(at, glob, depth + 1)? {
                    Place::Module(module) => self.lookup(&module, name, depth + 1),
                    Place::Definition(..) => None,
                })
            }
        }
    }
}

/// The paths that code names, and the features in its conditions.
#[derive(Default)]
struct NamedPaths {
    paths: BTreeSet<Vec<String>>,
    /// The paths that it makes names of its own.
    reexports: BTreeSet<Vec<String>>,
    features: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for NamedPaths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.insert(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        features(&import.attrs, &mut self.features);
        let is_import = matches!(import.vis, Visibility::Inherited);
        let paths = if is_import { &mut self.paths } else { &mut self.reexports };
        paths.extend(leaves(import).into_iter().map(|(_, target)| target));
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        if called.path.is_ident("cfg") {
            features_in(&called.tokens.to_string(), &mut self.features);
        }
        tokens(called.tokens.clone(), &mut self.paths);
        visit::visit_macro(self, called);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        features(std::slice::from_ref(attribute), &mut self.features);
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }
}

/// The features that `cfg` and `cfg_attr` name.
fn features(attributes: &[Attribute], into: &mut BTreeSet<String>) {
    for attribute in attributes {
        let is_condition =
            attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr");
        if is_condition && let syn::Meta::List(list) = &attribute.meta {
            features_in(&list.tokens.to_string(), into);
        }
    }
}

fn features_in(condition: &str, into: &mut BTreeSet<String>) {
    let named = condition.split("feature = \"").skip(1).filter_map(|after| after.split('"').next());
    into.extend(named.map(str::to_owned));
}

/// The paths inside of the call of a macro, which is not parsed.
fn tokens(stream: TokenStream, into: &mut BTreeSet<Vec<String>>) {
    let (mut path, mut colons) = (Vec::new(), 0);
    for token in stream {
        match token {
            TokenTree::Ident(name) if colons == 2 || path.is_empty() => {
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => colons += 1,
            token => {
                into.insert(std::mem::take(&mut path));
                colons = 0;
                match token {
                    TokenTree::Ident(name) => path.push(name.to_string()),
                    TokenTree::Group(group) => tokens(group.stream(), into),
                    _ => {}
                }
            }
        }
    }
    into.insert(path);
}

/// The names that a `use` brings in, and the path of each; no name for a glob.
fn leaves(import: &ItemUse) -> Vec<(Option<String>, Vec<String>)> {
    fn walk(tree: &UseTree, path: Vec<String>, into: &mut Vec<(Option<String>, Vec<String>)>) {
        let with =
            |name: &syn::Ident| path.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(part) => walk(&part.tree, with(&part.ident), into),
            UseTree::Name(name) if name.ident == "self" => {
                into.push((path.last().cloned(), path));
            }
            UseTree::Name(name) => into.push((Some(name.ident.to_string()), with(&name.ident))),
            UseTree::Rename(name) => {
                into.push((Some(name.rename.to_string()), with(&name.ident)));
            }
            UseTree::Glob(_) => into.push((None, path)),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| walk(tree, path.clone(), into));
            }
        }
    }
    let mut found = Vec::new();
    walk(&import.tree, Vec::new(), &mut found);
    found
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let text = list.tokens.to_string();
            text == "test" || text.starts_with("all (test") || text.contains("doctest")
        }
        meta => meta.path().is_ident("test"),
    })
}

fn named_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
