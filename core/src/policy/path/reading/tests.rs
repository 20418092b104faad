//! Spellings of `..`, of roots and of what cannot be read.

use super::*;

fn fault(text: &str) -> PathFault {
    match PathText::read(text) {
        Err(fault) => fault,
        Ok(readings) => panic!("{text:?} reads as {readings:?}"),
    }
}

#[test]
fn finds_every_spelling_of_dot_dot() {
    for text in [
        "..",
        "/..",
        "../a",
        "/a/../b",
        "/a/..",
        "\\..\\a",
        "/a\\..",
        "/a/.. /b",
        "/a/..\t/b",
        "/a/ ../b",
        "/a/. ./b",
        "/a/.\u{200b}./b",
        "/a/..\u{feff}/b",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/.. ;/b",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/..%2fb",
        "/a/..%5cb",
        "/a/%2e%2e%5c",
        "/a/%252e%252e/b",
        "/a/..%252fb",
        "/a/x%252fb",
        "/a/%25252e/b",
        "/a/%%32%65%%32%65/b",
        "/a/%u002e%u002e/b",
        "/a/\u{ff0e}\u{ff0e}/b",
        "/a/\u{2025}/b",
        "/a/\u{2024}\u{2024}/b",
        "/a/\u{fe52}./b",
        "/a/%EF%BC%8E%EF%BC%8E/b",
        "/a/x\u{ff0f}b",
        "/a/x\u{ff3c}b",
        "/a/\u{2100}",
        "/a\u{fe68}b",
        "/a/\u{ff05}2e\u{ff05}2e/b",
        "/a/%\u{ff12}e./b",
        "file:///a/../b",
        "file:///a/%2e%2e/b",
        "FILE:///a\\..\\b",
        "file:..",
        "file:///a/.\t./b",
        "/a/%2500",
        "/a/..%3b/b",
        "/a/\u{ff0e}\u{ff0e}\u{ff1b}/b",
        "%2e%2e",
        "/a/..%20/b",
        "/a/..%09/b",
        "/a/..\u{2215}b",
        "/a/x\u{a5}..\u{20a9}",
        "/a/..\u{3000}/b",
        "/a/..\u{a0}/b",
    ] {
        assert!(matches!(fault(text), PathFault::Traversal(_)), "{text:?} {:?}", fault(text));
    }
    let deep = format!("/a/%{}41", "25".repeat(40));
    assert!(matches!(fault(&deep), PathFault::Traversal(_)));
}

#[test]
fn refuses_what_cannot_be_read() {
    for text in [
        "",
        "\0",
        "/a\0b",
        "/a%00b",
        "/%ff",
        "/%c0%ae%c0%ae/b",
        "/%c0%af",
        "/%e0%80%ae",
        "/%ed%a0%80",
        "file:",
        "file:a",
        "file:a/b",
        "file://",
        "file://localhost",
        "file://server/a",
        "file://localhost:80/a",
        "file://u@localhost/a",
        "file://127.0.0.1/a",
        "file://%6cocalhost/a",
        "file://localhost\\a/b",
        "file:\\a",
        "file:///a?b",
        "file:///a#b",
        " file:///a",
        "fi\tle:///a",
        "\u{feff}file:///a",
        "file:///a\n",
        "%66ile:///etc",
        "file%3A///etc",
        "file://./a",
    ] {
        assert!(matches!(fault(text), PathFault::NotAllowed(_)), "{text:?} {:?}", fault(text));
    }
}

#[test]
fn takes_names_that_only_look_odd() {
    for text in [
        "/a..b",
        "/...",
        "/.../...",
        "/..a",
        "/a..",
        "/a/....",
        "/\u{2026}",
        "/100%.txt",
        "/50%25 off",
        "/a%20b",
        "/caf%C3%A9",
        "/log-12:30",
        "/nul.txt",
        "/a;b",
        "/;..",
        "/%2541",
        "/\u{2044}",
        "/\u{65e5}\u{672c}/\u{8a9e}",
        "/50\u{ff05}20\u{5e74}",
        "/a\nb",
    ] {
        assert!(PathText::read(text).is_ok(), "{text:?}");
    }
}

#[test]
fn says_where_a_reading_begins() {
    let place = |text: &str| PathText::read(text).unwrap().readings().map(Reading::place).collect::<Vec<_>>();
    for text in [
        "//a",
        "\\\\server\\a",
        "\\\\?\\C:\\a",
        "\\\\.\\pipe",
        "\\??\\C:\\a",
        "C:\\a",
        "c:a",
        "~",
        "~/a",
        "~root/a",
        " /a",
        "\n~/a",
        "\u{feff}/a",
        "\u{ff5e}/a",
        "\u{ff23}\u{ff1a}a",
        "file:////a",
        "file:///C:/a",
        "file:///c|/a",
        "file:///%43%3a/a",
        "%43:/a",
        "%7e/a",
        "%20/etc",
        " C:a",
        "/\\a",
        "\\/a",
        "%2f/a",
    ] {
        assert!(place(text).iter().any(|place| matches!(place, Place::Elsewhere(_))), "{text:?} {:?}", place(text));
    }
    assert_eq!(place("/a"), [Place::Absolute]);
    assert_eq!(place("file:/a"), [Place::Absolute]);
    assert_eq!(place("file://LOCALHOST/a"), [Place::Absolute]);
    assert_eq!(place("a/b"), [Place::Relative]);
    assert_eq!(place("\\a"), [Place::Relative, Place::Absolute]);
    assert_eq!(place("%2fa"), [Place::Relative, Place::Absolute]);
    assert_eq!(place("ab:c"), [Place::Relative]);
    assert_eq!(place("/C:/a"), [Place::Absolute]);
}

#[test]
fn long_text_takes_no_long_time() {
    let begun = std::time::Instant::now();
    assert!(PathText::read(&format!("/%{}", "25".repeat(1 << 20))).is_err());
    assert!(PathText::read(&"/\u{fdfa}".repeat(1 << 18)).is_ok());
    assert!(PathText::read(&format!("/a{}", "\u{301}".repeat(1 << 18))).is_ok());
    assert!(begun.elapsed().as_secs() < 20);
}
