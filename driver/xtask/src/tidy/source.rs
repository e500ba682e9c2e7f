//! A Rust source taken apart: its tokens, and how long its functions are.
//!
//! Checks look at tokens rather than text, so that comments and strings may say anything.

use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// What checks ask of a source.
#[derive(Debug)]
pub(super) struct Source {
    /// Every token in order; brackets are tokens, literals and documentation are left out.
    pub(super) tokens: Vec<Token>,
    /// Every function outside tests.
    pub(super) functions: Vec<Function>,
}

/// A word or a sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Token {
    /// From 1.
    pub(super) line: usize,
    /// What it says.
    pub(super) text: String,
}

/// A function with a body.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Function {
    /// Of its signature, from 1.
    pub(super) line: usize,
    /// Its name.
    pub(super) name: String,
    /// From the signature to the closing brace.
    pub(super) lines: usize,
}

impl Source {
    /// Takes `text` apart; an error is a line and what is wrong there.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let stream = TokenStream::from_str(text)
            .map_err(|error| (error.span().start().line, format!("not Rust: {error}")))?;
        let mut tokens = Vec::new();
        flatten(stream.clone(), &mut tokens);
        let file: syn::File = syn::parse2(stream)
            .map_err(|error| (error.span().start().line, format!("not Rust: {error}")))?;
        let mut functions = Functions(Vec::new());
        if !is_test(&file.attrs) {
            functions.visit_file(&file);
        }
        Ok(Self { tokens, functions: functions.0 })
    }

    /// The lines on which the tokens of `sequence` follow one another.
    pub(super) fn lines_of<'a>(&'a self, sequence: &'a [&str]) -> impl Iterator<Item = usize> {
        self.tokens
            .windows(sequence.len())
            .filter(move |window| window.iter().zip(sequence).all(|(a, b)| a.text == *b))
            .map(|window| window[0].line)
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |line, text: String| tokens.push(Token { line, text });
        match tree {
            TokenTree::Ident(ident) => push(line, ident.to_string()),
            TokenTree::Punct(punct) => push(line, punct.to_string()),
            TokenTree::Literal(_) => {}
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(line, open.to_owned());
                let end = group.span_close().end().line;
                flatten(group.stream(), tokens);
                tokens.push(Token { line: end, text: close.to_owned() });
            }
        }
    }
}

/// Collects functions, leaving out what only tests contain.
struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let end = block.span().end().line;
        let lines = end - line + 1;
        self.0.push(Function { line, name: signature.ident.to_string(), lines });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.add(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.add(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// True for `#[test]` and `#[cfg(test)]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = || {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
        };
        attribute.path().is_ident("test") || is_cfg_test()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_tokens() {
        let text = "//! one\n/// two\nfn a() { /* three */ let b = \"four\"; }\n";
        let source = Source::parse(text).expect("Rust");
        let said: Vec<_> = source.tokens.iter().map(|token| token.text.as_str()).collect();
        for word in ["one", "two", "three", "four"] {
            assert!(!said.contains(&word));
        }
        assert_eq!(source.lines_of(&["let", "b"]).collect::<Vec<_>>(), [3]);
        assert_eq!(source.lines_of(&["let", "c"]).count(), 0);
    }

    #[test]
    fn words_inside_macros_are_tokens() {
        let source = Source::parse("m! {\n  inner word }\n").expect("Rust");
        assert_eq!(source.lines_of(&["inner", "word"]).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn functions_of_tests_are_left_out() {
        let text = "fn a() {\n}\n#[test]\nfn b() {}\n#[cfg(test)]\nmod t { fn c() {} }\n\
                    impl S { fn d(&self) {} }\ntrait T { fn e(); fn f() {\n\n} }\n";
        let source = Source::parse(text).expect("Rust");
        let found: Vec<_> = source.functions.iter().map(|f| (f.name.as_str(), f.lines)).collect();
        assert_eq!(found, [("a", 2), ("d", 1), ("f", 3)]);
    }
}
