// Command widths tells how wide each line of its standard input is on a terminal.
package main

import (
	"bufio"
	"io"
	"os"
	"strconv"

	"github.com/rivo/uniseg"
)

// measure writes the columns that each line takes, and the line.
func measure(in io.Reader, out io.Writer) error {
	lines, measured := bufio.NewScanner(in), bufio.NewWriter(out)
	for lines.Scan() {
		measured.WriteString(strconv.Itoa(uniseg.StringWidth(lines.Text())))
		measured.WriteString(" " + lines.Text() + "\n")
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return measured.Flush()
}

func main() {
	if err := measure(os.Stdin, os.Stdout); err != nil {
		os.Stderr.WriteString("widths: " + err.Error() + "\n")
		os.Exit(1)
	}
}
