//! How HTML reads as text: lists, quotes and headings as in Markdown, links with their address,
//! pictures as nothing, everything else as its words.

use html2text::render::TextDecorator;

/// See the module.
#[derive(Default)]
pub(super) struct Words {
    /// Addresses of the links that are open.
    links: Vec<String>,
}

fn plain() -> (String, ()) {
    (String::new(), ())
}

impl TextDecorator for Words {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        self.links.push(url.to_owned());
        plain()
    }
    fn decorate_link_end(&mut self) -> String {
        let url = self.links.pop().unwrap_or_default();
        // Whoever reads it can follow pages; a mention's own address says nothing.
        let page = url.starts_with("https://") || url.starts_with("http://");
        if page { format!(" <{url}>") } else { String::new() }
    }
    fn decorate_em_start(&self) -> (String, ()) {
        plain()
    }
    fn decorate_em_end(&self) -> String {
        String::new()
    }
    fn decorate_strong_start(&self) -> (String, ()) {
        plain()
    }
    fn decorate_strong_end(&self) -> String {
        String::new()
    }
    fn decorate_strikeout_start(&self) -> (String, ()) {
        plain()
    }
    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }
    fn decorate_code_start(&self) -> (String, ()) {
        ("`".to_owned(), ())
    }
    fn decorate_code_end(&self) -> String {
        "`".to_owned()
    }
    fn decorate_preformat_first(&self) {}
    fn decorate_preformat_cont(&self) {}
    fn decorate_image(&mut self, _: &str, _: &str) -> (String, ()) {
        plain()
    }
    fn header_prefix(&self, level: usize) -> String {
        format!("{} ", "#".repeat(level.min(6)))
    }
    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }
    fn unordered_item_prefix(&self) -> String {
        "* ".to_owned()
    }
    fn ordered_item_prefix(&self, i: i64) -> String {
        format!("{i}. ")
    }
    fn make_subblock_decorator(&self) -> Self {
        Self::default()
    }
    fn decorate_superscript_start(&self) -> (String, ()) {
        plain()
    }
    fn decorate_superscript_end(&self) -> String {
        String::new()
    }
}
