//! Plain text tables and numbers for people.

use crate::terminal::one_line;

/// Rows of cells under a head; columns as wide as their longest cell, numbers flush right.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these column heads; those beginning with `>` are flush right.
    pub fn new(head: &[&str]) -> Self {
        let right = head.iter().map(|cell| cell.starts_with('>')).collect();
        let head = head.iter().map(|cell| cell.trim_start_matches('>').to_owned()).collect();
        Table { rows: vec![head], right }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    /// The text, each line with a newline.
    pub fn render(&self) -> String {
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).zip(&self.right);
            let cells = cells.map(|((cell, &width), &right)| if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Bytes in decimal units, as Ollama prints sizes: `7.2 GB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Dimensions in file order: `[1536, 262144]`.
pub fn dims(dims: &[u64]) -> String {
    let dims: Vec<String> = dims.iter().map(u64::to_string).collect();
    format!("[{}]", dims.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(7_162_394_016), "7.2 GB");
        assert_eq!(count(0), "0");
        assert_eq!(count(514_906), "514,906");
        assert_eq!(count(1_000_000), "1,000,000");
    }

    #[test]
    fn columns() {
        let mut table = Table::new(&["name", ">size"]);
        table.row(["a".to_owned(), "12".to_owned()]);
        table.row(["längst".to_owned(), "1".to_owned()]);
        table.row(["\x1b[2J".to_owned(), String::new()]);
        assert!(table.render().ends_with("\n\\u{1b}[2J\n"));
        table.rows.pop();
        assert_eq!(table.render(), "name    size\na         12\nlängst     1\n");
    }
}
