//! Interleaved rounds: every case runs once in each round, ratios are formed within a round, and the median over the
//! rounds is printed with its range. A slow moment of the machine then slows a case and its reference alike.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const BATCH: Duration = Duration::from_millis(8);

/// One thing that is measured.
pub struct Case<'a> {
    /// What is printed.
    pub name: String,
    /// Name of the case it is compared with; its own name for a reference.
    pub reference: String,
    /// One operation.
    pub operation: Box<dyn FnMut() + 'a>,
}

impl<'a> Case<'a> {
    /// A case that is compared with the case called `reference`.
    pub fn new(name: impl Into<String>, reference: impl Into<String>, operation: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), reference: reference.into(), operation: Box::new(operation) }
    }
}

/// What a case came to.
pub struct Row {
    /// Name of the case.
    pub name: String,
    /// Median nanoseconds of one operation.
    pub nanoseconds: f64,
    /// Median, smallest and largest ratio to the reference.
    pub ratio: (f64, f64, f64),
}

/// Runs the cases in rounds.
#[must_use]
pub fn run_rounds(mut cases: Vec<Case<'_>>) -> Vec<Row> {
    let counts: Vec<u32> = cases.iter_mut().map(|case| operations_per_batch(&mut case.operation)).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for _ in 0..ROUNDS {
        for ((case, count), times) in cases.iter_mut().zip(&counts).zip(&mut times) {
            let start = Instant::now();
            for _ in 0..*count {
                (case.operation)();
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(*count));
        }
    }
    let references: Vec<usize> = cases
        .iter()
        .map(|case| cases.iter().position(|other| other.name == case.reference).expect("a reference that is a case"))
        .collect();
    cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let ratios = times[index].iter().zip(&times[references[index]]).map(|(time, reference)| time / reference);
            let ratios = sorted(ratios.collect());
            Row {
                name: case.name.clone(),
                nanoseconds: median(&sorted(times[index].clone())),
                ratio: (median(&ratios), ratios[0], ratios[ratios.len() - 1]),
            }
        })
        .collect()
}

/// Prints one table; `columns` are (heading, rows), the rows of every column in the same order.
pub fn print_table(title: &str, columns: &[(&str, Vec<Row>)]) {
    let mut table = format!("\n{title}\n{:28}", "");
    for (heading, _) in columns {
        let _ = write!(table, " | {heading:>34}");
    }
    let length = columns.first().map_or(0, |(_, rows)| rows.len());
    for index in 0..length {
        let _ = write!(table, "\n{:28}", columns[0].1[index].name);
        for (_, rows) in columns {
            let row = &rows[index];
            let (ratio, low, high) = row.ratio;
            let _ = write!(table, " | {:>11} {ratio:6.2} x [{low:5.2}-{high:5.2}]", duration(row.nanoseconds));
        }
    }
    println!("{table}");
}

fn operations_per_batch(operation: &mut dyn FnMut()) -> u32 {
    let mut count = 1_u32;
    loop {
        let start = Instant::now();
        for _ in 0..count {
            operation();
        }
        let elapsed = start.elapsed();
        if elapsed >= BATCH || count >= 1 << 22 {
            return count;
        }
        count *= 2;
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        small if small < 1e3 => format!("{small:.0} ns"),
        middle if middle < 1e6 => format!("{:.2} µs", middle / 1e3),
        large => format!("{:.2} ms", large / 1e6),
    }
}
