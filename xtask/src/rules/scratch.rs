//! A copy of the repository in which tests run under a change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// No test under a change may take longer; a change that makes the core run for ever is red too.
const LONGEST_RUN: Duration = Duration::from_secs(600);

/// The tests, quickest first: the vectors, then the core's own, then the properties.
const RUNS: [&[&str]; 3] = [
    &["-p", "smcp-sdk-tests", "--test", "conformance"],
    &["-p", "smcp-core", "--lib"],
    &["-p", "smcp-sdk-tests", "--tests"],
];

/// What the tests say.
pub(super) enum Verdict {
    /// A test failed: its name.
    Red(String),
    /// All passed.
    Green,
    /// They do not compile: the first error.
    Broken(String),
}

/// The copy.
pub(super) struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Copies what git knows of.
    pub(super) fn new(root: &Path) -> Result<Self, String> {
        let folder = root.join("target/rules");
        let (tree, target) = (folder.join("tree"), folder.join("target"));
        let listing = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let names = String::from_utf8(listing.stdout).map_err(|error| error.to_string())?;
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (root.join(name), tree.join(name));
            let Ok(content) = fs::read(&from) else { continue };
            // A file that did not change keeps its time, so that cargo need not compile it anew.
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            write(&to, &content)?;
        }
        Ok(Self { tree, target })
    }

    /// Runs the tests with `old` replaced by `new` in `file`, which is restored afterwards.
    pub(super) fn test_with(&self, file: &str, old: &str, new: &str) -> Result<Verdict, String> {
        let path = self.tree.join(file);
        let original = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        write(&path, original.replacen(old, new, 1).as_bytes())?;
        let verdict = self.test();
        write(&path, original.as_bytes())?;
        verdict
    }

    /// Runs the tests until one fails.
    pub(super) fn test(&self) -> Result<Verdict, String> {
        for run in RUNS {
            let built = self.cargo(run, &["--no-run"])?;
            let Some(built) = built else { return Ok(Verdict::Broken("compiling took too long".to_owned())) };
            if !built.status.success() {
                return Ok(Verdict::Broken(first_error(&built)));
            }
            match self.cargo(run, &[])? {
                None => return Ok(Verdict::Red("a test that does not end".to_owned())),
                Some(ran) if !ran.status.success() => return Ok(Verdict::Red(failed_test(&ran))),
                Some(_) => {}
            }
        }
        Ok(Verdict::Green)
    }

    /// The output, or nothing when it took too long.
    fn cargo(&self, run: &[&str], more: &[&str]) -> Result<Option<Output>, String> {
        let broken = |error: std::io::Error| format!("cargo: {error}");
        let (stdout, stderr) = (self.target.join("stdout"), self.target.join("stderr"));
        fs::create_dir_all(&self.target).map_err(broken)?;
        // The cargo that runs this program.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut child = Command::new(cargo)
            .args(["test", "--quiet", "--locked"])
            .args(run)
            .args(more)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .env_remove("SMCP_VECTORS")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&stdout).map_err(broken)?)
            .stderr(fs::File::create(&stderr).map_err(broken)?)
            .spawn()
            .map_err(broken)?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(broken)? {
                break status;
            }
            if started.elapsed() > LONGEST_RUN {
                child.kill().map_err(broken)?;
                child.wait().map_err(broken)?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let read = |path: &Path| fs::read(path).map_err(broken);
        Ok(Some(Output { status, stdout: read(&stdout)?, stderr: read(&stderr)? }))
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(describe)?;
    }
    fs::write(path, content).map_err(describe)
}

/// The first test in the list of failures; a crash of the whole program has none.
fn failed_test(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let named = text.lines().find_map(|line| line.strip_prefix("---- ")?.split(' ').next().map(str::to_owned));
    named.unwrap_or_else(|| "the test program crashed".to_owned())
}

fn first_error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("error")).take(6).collect();
    lines.join("\n")
}
