//! The table of every subcommand: Markdown, a row at a time, so that an early end leaves what was measured.

/// The head of a column, and how its cells are set.
#[derive(Clone, Debug)]
pub struct Column {
    head: String,
    width: usize,
    figures: bool,
}

impl Column {
    /// Cells of text, about so wide.
    pub fn text(head: impl Into<String>, width: usize) -> Self {
        let head = head.into();
        let width = width.max(chars(&head));
        Self {
            head,
            width,
            figures: false,
        }
    }

    /// Cells of figures, at the right.
    pub fn figures(head: impl Into<String>) -> Self {
        let head = head.into();
        let width = chars(&head).max(5);
        Self {
            head,
            width,
            figures: true,
        }
    }

    /// The dashes below the head.
    fn rule(&self) -> String {
        let end = if self.figures { ":" } else { "-" };
        format!("{}{end}|", "-".repeat(self.width + 1))
    }

    fn set(&self, cell: &str) -> String {
        let width = self.width;
        if self.figures {
            format!(" {cell:>width$} |")
        } else {
            format!(" {cell:<width$} |")
        }
    }
}

/// A table whose head is printed.
#[derive(Debug)]
pub struct Table(Vec<Column>);

impl Table {
    /// Prints the head.
    #[must_use]
    pub fn begin(columns: impl IntoIterator<Item = Column>) -> Self {
        let columns: Vec<_> = columns.into_iter().collect();
        let heads = columns.iter().map(|column| column.set(&column.head));
        let heads: String = heads.collect();
        let rules: String = columns.iter().map(Column::rule).collect();
        println!("|{heads}\n|{rules}");
        Self(columns)
    }

    /// A table whose head another process has printed.
    #[must_use]
    pub fn resume(columns: impl IntoIterator<Item = Column>) -> Self {
        Self(columns.into_iter().collect())
    }

    /// Prints a row.
    pub fn row<S: AsRef<str>>(&self, cells: impl IntoIterator<Item = S>) {
        let cells = self.0.iter().zip(cells);
        let cells: String = cells
            .map(|(column, cell)| column.set(cell.as_ref()))
            .collect();
        println!("|{cells}");
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}
