//! Tests of the whole connector, each with both ways of resolving paths.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::result::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::schema::{self, USUAL_RESULTS};
use super::tools::InvalidArguments;
use super::*;

const BOTH: [Resolution; 2] = [Resolution::Kernel, Resolution::Stepwise];

/// A root with `a.txt` and `sub/b.txt`, and beside it a secret no call may see.
struct World {
    parent: TempDir,
    tools: Tools,
}

impl World {
    fn new(resolution: Resolution) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir(parent.path().join("outside")).unwrap();
        fs::write(root.join("a.txt"), "alpha\nbeta\n").unwrap();
        fs::write(root.join("sub/b.txt"), "beta gamma\n").unwrap();
        fs::write(parent.path().join("outside/secret"), "SECRET").unwrap();
        let roots = Roots::open(&[root], Some(resolution)).unwrap();
        Self { parent, tools: Tools { roots, writable: true, max_file_size: 1000 } }
    }

    fn root(&self) -> PathBuf {
        self.parent.path().join("root")
    }

    fn outside(&self) -> PathBuf {
        self.parent.path().join("outside")
    }

    fn call(&self, tool: &str, arguments: Value) -> Value {
        self.try_call(tool, arguments).unwrap()
    }

    /// Paths of the tests are short; the connector itself takes absolute ones only.
    fn try_call(&self, tool: &str, mut arguments: Value) -> Result<Value, InvalidArguments> {
        let path = arguments.get("path").and_then(Value::as_str);
        if let Some(path) = path.filter(|path| !path.is_empty() && !path.starts_with('/')) {
            arguments["path"] = format!("{}/{path}", self.root().display()).into();
        }
        self.tools.call(tool, arguments, soon())
    }

    fn read(&self, path: &str) -> Result<String, String> {
        text_of(&self.call("fs.read", json!({"path": path})))
    }

    fn write(&self, path: &str, content: &str) -> Result<String, String> {
        text_of(&self.call("fs.write", json!({"path": path, "content": content})))
    }
}

fn soon() -> std::time::Instant {
    std::time::Instant::now().checked_add(Duration::from_secs(10)).unwrap()
}

fn text_of(result: &Value) -> Result<String, String> {
    let text = result["content"][0]["text"].as_str().unwrap().to_owned();
    if result["isError"].as_bool().unwrap() { Err(text) } else { Ok(text) }
}

#[test]
fn what_leads_out_is_refused() {
    for resolution in BOTH {
        let world = World::new(resolution);
        let (root, outside) = (world.root(), world.outside());
        symlink(&outside, root.join("dirlink")).unwrap();
        symlink(outside.join("secret"), root.join("filelink")).unwrap();
        symlink("../outside", root.join("uplink")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("/proc/self/cwd", root.join("cwd")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let absolute = outside.join("secret");
        for path in [
            "../outside/secret",
            "sub/../../outside/secret",
            "sub/../a.txt",
            "dirlink/secret",
            "filelink",
            "uplink/secret",
            "magic/etc/passwd",
            "cwd/Cargo.toml",
            "loop",
            absolute.to_str().unwrap(),
            "/etc/passwd",
            "/",
            "/proc/self/root/etc/passwd",
        ] {
            let error = world.read(path).unwrap_err();
            assert!(!error.contains("SECRET"), "{resolution:?} {path}");
            for tool in ["fs.list", "fs.search"] {
                assert_eq!(world.call(tool, json!({"path": path}))["isError"], true, "{resolution:?} {tool} {path}");
            }
        }
        for path in ["dirlink/new", "uplink/new", "filelink", "../outside/new", "/tmp/new", "dirlink", "cwd/new"] {
            world.write(path, "PWNED").unwrap_err();
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "SECRET");
    }
}

#[test]
fn links_inside_are_followed_by_the_kernel_only() {
    for resolution in BOTH {
        let world = World::new(resolution);
        symlink("sub", world.root().join("inside")).unwrap();
        assert_eq!(world.read("inside/b.txt").is_ok(), resolution == Resolution::Kernel);
    }
}

#[test]
fn only_regular_files_with_one_name_are_read_and_replaced() {
    for resolution in BOTH {
        let world = World::new(resolution);
        let root = world.root();
        rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        fs::hard_link(world.outside().join("secret"), root.join("hard")).unwrap();
        for (path, reason) in [
            ("fifo", "not a regular file"),
            ("socket", "not a regular file"),
            ("hard", "hard links"),
            ("sub", "is a directory"),
        ] {
            assert!(world.read(path).unwrap_err().contains(reason), "{resolution:?} {path}");
            assert!(world.write(path, "x").unwrap_err().contains(reason), "{resolution:?} {path}");
        }
        assert!(fs::symlink_metadata(root.join("fifo")).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_to_string(world.outside().join("secret")).unwrap(), "SECRET");
        let found = world.call("fs.search", json!({"path": ".", "text": "SECRET"}));
        assert_eq!(found["structuredContent"]["matches"], json!([]));
        let stat = world.call("fs.stat", json!({"path": "fifo"}));
        assert_eq!(stat["structuredContent"]["type"], "fifo");
    }
}

#[test]
fn devices_are_refused() {
    let tools = Tools { roots: Roots::open(&["/dev".into()], None).unwrap(), writable: true, max_file_size: 1000 };
    let until = soon();
    for path in ["/dev/zero", "/dev/null", "/dev/tty"] {
        let result = tools.call("fs.read", json!({"path": path}), until).unwrap();
        text_of(&result).unwrap_err();
    }
    let result = tools.call("fs.write", json!({"path": "/dev/null", "content": "x"}), until).unwrap();
    assert!(text_of(&result).unwrap_err().contains("not a regular file"));
}

#[test]
fn files_are_read_whole_and_in_parts() {
    for resolution in BOTH {
        let world = World::new(resolution);
        let absolute = world.root().join("sub/./b.txt");
        assert_eq!(world.read("a.txt").unwrap(), "alpha\nbeta\n");
        assert_eq!(world.read(".//sub/b.txt").unwrap(), "beta gamma\n");
        assert_eq!(world.read(absolute.to_str().unwrap()).unwrap(), "beta gamma\n");
        let part = world.call("fs.read", json!({"path": "a.txt", "offset": 6, "length": 4}));
        assert_eq!(text_of(&part).unwrap(), "beta");
        let past = world.call("fs.read", json!({"path": "a.txt", "offset": 100}));
        assert_eq!(text_of(&past).unwrap(), "");
        assert!(world.read("none").unwrap_err().contains("does not exist"));
        assert!(world.read("a.txt/x").unwrap_err().contains("not a directory"));
    }
}

#[test]
fn binary_content_goes_through_base64() {
    let world = World::new(Resolution::Kernel);
    let written = json!({"path": "bin", "content": "AP+A", "encoding": "base64", "mode": "create"});
    assert_eq!(world.call("fs.write", written.clone())["structuredContent"]["created"], true);
    assert_eq!(fs::read(world.root().join("bin")).unwrap(), [0, 255, 128]);
    assert!(text_of(&world.call("fs.write", written)).unwrap_err().contains("exists already"));
    assert!(world.read("bin").unwrap_err().contains("not UTF-8"));
    let read = world.call("fs.read", json!({"path": "bin", "encoding": "base64"}));
    assert_eq!(text_of(&read).unwrap(), "AP+A");
    world.try_call("fs.write", json!({"path": "x", "content": "AP+", "encoding": "base64"})).unwrap_err();
}

#[test]
fn size_limits_hold() {
    let world = World::new(Resolution::Kernel);
    fs::write(world.root().join("fits"), "x".repeat(1000)).unwrap();
    fs::write(world.root().join("large"), "x".repeat(1001)).unwrap();
    assert_eq!(world.read("fits").unwrap().len(), 1000);
    assert!(world.read("large").unwrap_err().contains("at most 1000"));
    let part = world.call("fs.read", json!({"path": "large", "offset": 1, "length": 1000}));
    assert_eq!(text_of(&part).unwrap().len(), 1000);
    text_of(&world.call("fs.read", json!({"path": "large", "length": 1001}))).unwrap_err();
    world.write("new", &"x".repeat(1000)).unwrap();
    world.write("new", &"x".repeat(1001)).unwrap_err();
    assert_eq!(fs::metadata(world.root().join("new")).unwrap().len(), 1000);
}

#[test]
fn a_write_replaces_in_one_step_and_leaves_nothing_behind() {
    for resolution in BOTH {
        let world = World::new(resolution);
        let file = world.root().join("a.txt");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&file).unwrap().ino();
        let result = world.call("fs.write", json!({"path": "a.txt", "content": "new"}));
        assert_eq!(result["structuredContent"]["created"], false);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_ne!(fs::metadata(&file).unwrap().ino(), before);
        world.write("none/x", "x").unwrap_err();
        world.write(".", "x").unwrap_err();
        world.write("sub", "x").unwrap_err();
        let names: Vec<_> = fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

#[test]
fn directories_are_listed_in_order_and_within_bounds() {
    let world = World::new(Resolution::Kernel);
    symlink("a.txt", world.root().join("link")).unwrap();
    fs::write(world.root().join(OsString::from_vec(b"x\xff".to_vec())), "").unwrap();
    let listed = world.call("fs.list", json!({"path": world.root()}));
    let expected = json!([
        {"name": "a.txt", "type": "file", "size": 11},
        {"name": "link", "type": "symlink"},
        {"name": "sub", "type": "directory"},
        {"name": "x\u{fffd}", "name_base64": "eP8=", "type": "file", "size": 0},
    ]);
    assert_eq!(listed["structuredContent"], json!({"entries": expected, "truncated": false}));
    assert_eq!(text_of(&listed).unwrap(), listed["structuredContent"].to_string());
    let short = world.call("fs.list", json!({"path": ".", "max_results": 2}));
    assert_eq!(short["structuredContent"]["entries"].as_array().unwrap().len(), 2);
    assert_eq!(short["structuredContent"]["truncated"], true);
    text_of(&world.call("fs.list", json!({"path": "a.txt"}))).unwrap_err();
}

#[test]
fn searches_find_names_and_text_within_bounds() {
    let world = World::new(Resolution::Kernel);
    symlink(world.outside(), world.root().join("sub/out")).unwrap();
    symlink("..", world.root().join("sub/up")).unwrap();
    let found = |arguments: Value| world.call("fs.search", arguments)["structuredContent"].clone();
    let both = found(json!({"path": ".", "pattern": "*.txt", "text": "beta"}));
    let expected = json!([
        {"path": world.root().join("a.txt"), "type": "file", "line": 2, "text": "beta"},
        {"path": world.root().join("sub/b.txt"), "type": "file", "line": 1, "text": "beta gamma"},
    ]);
    assert_eq!(both, json!({"matches": expected, "truncated": false}));
    assert_eq!(found(json!({"path": "sub", "pattern": "b*"}))["matches"].as_array().unwrap().len(), 1);
    assert_eq!(found(json!({"path": ".", "pattern": "secret"}))["matches"], json!([]));
    assert_eq!(found(json!({"path": ".", "text": "SECRET"}))["matches"], json!([]));
    let short = found(json!({"path": ".", "max_results": 1}));
    assert_eq!((short["matches"].as_array().unwrap().len(), &short["truncated"]), (1, &json!(true)));
    let late = world.tools.call("fs.search", json!({"path": world.root()}), std::time::Instant::now()).unwrap();
    assert_eq!(late["structuredContent"]["truncated"], true);
    let mut deep = world.root();
    for _ in 0..40 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("needle"), "").unwrap();
    assert_eq!(found(json!({"path": ".", "pattern": "needle"})), json!({"matches": [], "truncated": true}));
}

#[test]
fn arguments_are_those_of_the_schema_and_no_others() {
    let world = World::new(Resolution::Kernel);
    for definition in schema::definitions(true) {
        let tool = definition["name"].as_str().unwrap();
        let schema = &definition["inputSchema"];
        assert_eq!(schema["additionalProperties"], false);
        let mut complete = Map::new();
        for (name, property) in schema["properties"].as_object().unwrap() {
            let example = match (property["enum"].get(0), property["type"].as_str().unwrap()) {
                (Some(first), _) => first.clone(),
                (None, "integer") => json!(1),
                (None, _) => json!("x"),
            };
            complete.insert(name.clone(), example);
        }
        world.call(tool, Value::Object(complete.clone()));
        for (name, property) in schema["properties"].as_object().unwrap() {
            for wrong in [json!(null), json!(true), json!({}), json!([]), json!(1.5), json!(-1)] {
                let mut arguments = complete.clone();
                arguments.insert(name.clone(), wrong.clone());
                world.try_call(tool, Value::Object(arguments)).expect_err(&format!("{tool} {name} {wrong}"));
            }
            let mut arguments = complete.clone();
            arguments.remove(name);
            let is_required = schema["required"].as_array().unwrap().contains(&json!(name));
            assert_eq!(world.try_call(tool, Value::Object(arguments)).is_err(), is_required, "{tool} {name}");
            if property.get("enum").is_some() {
                let mut arguments = complete.clone();
                arguments.insert(name.clone(), json!("other"));
                world.try_call(tool, Value::Object(arguments)).unwrap_err();
            }
        }
        complete.insert("extra".to_owned(), json!(1));
        let error = world.try_call(tool, Value::Object(complete)).unwrap_err();
        assert!(error.0.contains("extra"), "{error:?}");
    }
    for results in [0, 10_001] {
        world.try_call("fs.list", json!({"path": ".", "max_results": results})).unwrap_err();
    }
    world.try_call("fs.search", json!({"path": ".", "text": ""})).unwrap_err();
    world.try_call("fs.delete", json!({"path": "."})).unwrap_err();
    assert_eq!(schema::definitions(true)[0]["inputSchema"]["properties"]["max_results"]["default"], USUAL_RESULTS);
}

#[test]
fn a_read_only_connector_writes_nothing() {
    let mut world = World::new(Resolution::Kernel);
    world.tools.writable = false;
    let error = world.try_call("fs.write", json!({"path": "x", "content": "x"})).unwrap_err();
    assert!(error.0.contains("unknown tool"));
    assert!(!schema::definitions(false).iter().any(|tool| tool["name"] == "fs.write"));
}

#[test]
fn paths_are_placed_under_the_deepest_root() {
    let parent = tempfile::tempdir().unwrap();
    let (outer, inner) = (parent.path().join("outer"), parent.path().join("outer/inner"));
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("x"), "inner").unwrap();
    fs::write(outer.join("x"), "outer").unwrap();
    symlink(&inner, parent.path().join("alias")).unwrap();
    let roots = Roots::open(&[parent.path().join("alias"), outer.clone()], None).unwrap();
    let tools = Tools { roots, writable: false, max_file_size: 100 };
    let read = |path: &Path| {
        let until = soon();
        text_of(&tools.call("fs.read", json!({"path": path}), until).unwrap())
    };
    assert_eq!(read(&inner.join("x")).unwrap(), "inner");
    assert_eq!(read(&parent.path().join("alias/x")).unwrap(), "inner");
    assert_eq!(read(&outer.join("x")).unwrap(), "outer");
    for outside in ["outerx/x", "oute", ""] {
        read(&parent.path().join(outside)).unwrap_err();
    }
    for path in ["", "a\0b", &"x/".repeat(3000)] {
        read(Path::new(path)).unwrap_err();
    }
}

#[test]
fn relative_paths_are_refused() {
    for resolution in BOTH {
        let world = World::new(resolution);
        for path in ["a.txt", ".", "./a.txt", "sub/b.txt"] {
            let result = world.tools.call("fs.read", json!({"path": path}), soon()).unwrap();
            assert!(text_of(&result).unwrap_err().contains("is not absolute"), "{path}");
        }
    }
}

#[test]
fn roots_that_cannot_be_used_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for roots in [
        vec![],
        vec!["relative".into()],
        vec!["/nonexistent".into()],
        vec!["/tmp/..".into()],
        vec![file.path().to_owned()],
    ] {
        assert_eq!(Roots::open(&roots, None).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{roots:?}");
    }
}

#[test]
fn the_kernel_here_has_openat2() {
    let directory = fs::File::open("/").unwrap();
    let detected = Resolution::detect(rustix::fd::AsFd::as_fd(&directory));
    // A sandbox without it would make half of these tests say nothing.
    assert_eq!(detected, Resolution::Kernel);
}

/// Ten to the fifth swaps of a directory for a symbolic link to the outside, with reads and writes
/// through that name meanwhile: nothing of the outside is ever seen or changed.
fn swaps(resolution: Resolution) {
    let world = World::new(resolution);
    fs::write(world.outside().join("secret"), "SECRET SECRET").unwrap();
    let root = world.root();
    let (door, parked, link) = (root.join("door"), root.join("parked"), root.join("link"));
    fs::create_dir(&door).unwrap();
    fs::write(door.join("secret"), "INSIDE").unwrap();
    symlink(world.outside(), &link).unwrap();
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50_000 {
                fs::rename(&door, &parked).unwrap();
                fs::rename(&link, &door).unwrap();
                fs::rename(&door, &link).unwrap();
                fs::rename(&parked, &door).unwrap();
            }
            running.store(false, Ordering::Relaxed);
        });
        let mut was_seen = false;
        while running.load(Ordering::Relaxed) {
            match world.read("door/secret") {
                Ok(content) => {
                    assert_eq!(content, "INSIDE", "{resolution:?}");
                    was_seen = true;
                }
                Err(reason) => assert!(!reason.contains("SECRET"), "{resolution:?}"),
            }
            let _outcome = world.write("door/new", "written");
            let listed = world.call("fs.list", json!({"path": "door"}));
            // The secret outside has another length than the file inside.
            assert!(!listed.to_string().contains("\"size\":13"), "{listed}");
            let found = world.call("fs.search", json!({"path": "door", "text": "SECRET"}));
            assert!(found["isError"] == true || found["structuredContent"]["matches"] == json!([]), "{found}");
        }
        assert!(was_seen, "{resolution:?}: the door was never open");
    });
    assert_eq!(fs::read_dir(world.outside()).unwrap().count(), 1, "{resolution:?}");
    assert_eq!(fs::read_to_string(world.outside().join("secret")).unwrap(), "SECRET SECRET");
}

#[test]
fn swapped_links_never_lead_out_with_the_kernel() {
    swaps(Resolution::Kernel);
}

#[test]
fn swapped_links_never_lead_out_stepwise() {
    swaps(Resolution::Stepwise);
}

fn server(resolution: Resolution) -> (World, Filesystem) {
    let world = World::new(resolution);
    let config = FilesystemConfig { roots: vec![world.root()], writable: true, max_file_size: 1000 };
    let server = Filesystem::open_with("fs".into(), &config, Duration::from_secs(5), Some(resolution)).unwrap();
    (world, server)
}

fn request(value: Value) -> UpstreamRequest {
    UpstreamRequest::new("tools/call", value.as_object().unwrap().clone())
}

#[tokio::test]
async fn mistakes_are_json_rpc_errors_and_failures_are_results() {
    let (_world, server) = server(Resolution::Kernel);
    for wrong in [
        json!({}),
        json!({"name": 1}),
        json!({"name": "fs.read", "arguments": []}),
        json!({"name": "fs.read"}),
        json!({"name": "fs.read", "arguments": {"path": "a.txt", "x": 1}}),
        json!({"name": "nothing", "arguments": {}}),
    ] {
        let answer = server.call(request(wrong.clone())).await.unwrap();
        assert!(matches!(answer, UpstreamAnswer::Error { code: INVALID_PARAMS, .. }), "{wrong} {answer:?}");
    }
    let answer = server.call(UpstreamRequest::new("resources/read", Map::new())).await.unwrap();
    assert!(matches!(answer, UpstreamAnswer::Error { code: METHOD_NOT_FOUND, .. }));
    let answer = server.call(request(json!({"name": "fs.read", "arguments": {"path": "none"}}))).await.unwrap();
    let UpstreamAnswer::Result(result) = answer else { panic!("{answer:?}") };
    assert_eq!(result["isError"], true);
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once() {
    let (_world, server) = server(Resolution::Kernel);
    let request = request(json!({"name": "fs.read", "arguments": {"path": "a.txt"}}));
    request.cancel.cancel();
    let past = request.clone().with_cancel(Default::default()).with_deadline(Instant::now());
    // Either the work was faster or the call was given up, but it never hangs.
    for request in [request, past] {
        if let Err(error) = server.call(request).await {
            assert!(matches!(error.kind(), ErrorKind::UpstreamTimeout | ErrorKind::Overloaded));
        }
    }
}

#[tokio::test]
async fn tools_are_listed_sorted() {
    let (_world, server) = server(Resolution::Stepwise);
    let tools = server.list(ListKind::Tools).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fs.list", "fs.read", "fs.search", "fs.stat", "fs.write"]);
    assert_eq!(server.list(ListKind::Prompts).await.unwrap(), Vec::<Value>::new());
}
