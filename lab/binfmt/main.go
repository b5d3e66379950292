// Command binfmt registers the QEMU emulators of its image with the kernel.
//
// It speaks the interface of tonistiigi/binfmt (--install, --uninstall, a JSON
// status) and, with --register, that of linuxkit/binfmt: register everything.
// What to register is Debian's own: the files in /usr/lib/binfmt.d.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	mount = "/proc/sys/fs/binfmt_misc"
	rules = "/usr/lib/binfmt.d"
)

// emulator ties an architecture to QEMU's name of it and to the platforms it brings.
type emulator struct {
	arch      string
	qemu      string
	platforms []string
}

var emulators = []emulator{
	{"arm64", "aarch64", []string{"linux/arm64"}},
	{"riscv64", "riscv64", []string{"linux/riscv64"}},
	{"ppc64le", "ppc64le", []string{"linux/ppc64le"}},
	{"s390x", "s390x", []string{"linux/s390x"}},
	{"mips64le", "mips64el", []string{"linux/mips64le"}},
	{"mips64", "mips64", []string{"linux/mips64"}},
	{"loong64", "loongarch64", []string{"linux/loong64"}},
	{"arm", "arm", []string{"linux/arm/v7", "linux/arm/v6"}},
	{"amd64", "x86_64", []string{"linux/amd64"}},
	{"386", "i386", []string{"linux/386"}},
}

// find returns the emulator that goes by a name such as arm64, linux/arm/v7, aarch64 or qemu-aarch64.
func find(name string) (emulator, bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "linux/"), "qemu-")
	name, _, _ = strings.Cut(name, "/")
	for _, e := range emulators {
		if name == e.arch || name == e.qemu {
			return e, true
		}
	}
	return emulator{}, false
}

func rulePath(e emulator) string {
	return filepath.Join(rules, "qemu-"+e.qemu+".conf")
}

// install hands the rule of one emulator to the kernel.
func install(name string) error {
	e, ok := find(name)
	if !ok {
		return fmt.Errorf("unsupported architecture: %s", name)
	}
	rule, err := os.ReadFile(rulePath(e))
	if err != nil {
		return fmt.Errorf("unsupported architecture: %s", name)
	}
	// The kernel takes one rule a write, and the rule must come in one.
	register, err := os.OpenFile(filepath.Join(mount, "register"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer register.Close()
	if _, err := register.Write([]byte(strings.TrimSpace(string(rule)))); err != nil {
		if errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("qemu-%s already registered: %w", e.qemu, syscall.EEXIST)
		}
		return fmt.Errorf("cannot register qemu-%s: %w", e.qemu, err)
	}
	return nil
}

// available lists the architectures this image has an emulator for.
func available() []string {
	var names []string
	for _, e := range emulators {
		if _, err := os.Stat(rulePath(e)); err == nil {
			names = append(names, e.arch)
		}
	}
	return names
}

// registered lists the names of all enabled rules in the kernel.
func registered() ([]string, error) {
	files, err := os.ReadDir(mount)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, file := range files {
		if file.Name() == "register" || file.Name() == "status" {
			continue
		}
		state, err := os.ReadFile(filepath.Join(mount, file.Name()))
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(state), "enabled") {
			names = append(names, file.Name())
		}
	}
	return names, nil
}

// uninstall removes the rules that a name or a glob such as qemu-* means.
func uninstall(pattern string) error {
	if e, ok := find(pattern); ok {
		pattern = "qemu-" + e.qemu
	}
	paths, err := filepath.Glob(filepath.Join(mount, pattern))
	if err != nil {
		return err
	}
	removed := false
	for _, path := range paths {
		if name := filepath.Base(path); name == "register" || name == "status" {
			continue
		}
		if err := os.WriteFile(path, []byte("-1"), 0o600); err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return errors.New("not found")
	}
	return nil
}

// printStatus prints what this machine can run, in the words of tonistiigi/binfmt.
func printStatus() error {
	names, err := registered()
	if err != nil {
		return err
	}
	supported := []string{"linux/" + runtime.GOARCH}
	for _, e := range emulators {
		for _, name := range names {
			if name == "qemu-"+e.qemu {
				supported = append(supported, e.platforms...)
			}
		}
	}
	// An amd64 kernel runs the 32-bit programs of its family by itself.
	if runtime.GOARCH == "amd64" {
		supported = append(supported, "linux/386")
	}
	status := struct {
		Supported []string `json:"supported"`
		Emulators []string `json:"emulators"`
	}{supported, names}
	text, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return nil
}

func mountBinfmt() error {
	if _, err := os.Stat(filepath.Join(mount, "status")); err == nil {
		return nil
	}
	if err := syscall.Mount("binfmt_misc", mount, "binfmt_misc", 0, ""); err != nil {
		return fmt.Errorf("cannot mount binfmt_misc filesystem at %s: %w", mount, err)
	}
	return nil
}

// each does one thing to every name of a comma list, and says how it went.
func each(word, list string, do func(string) error) {
	for _, name := range strings.Split(list, ",") {
		if err := do(name); err != nil {
			log.Printf("%s: %s %v", word, name, err)
		} else {
			log.Printf("%s: %s OK", word, name)
		}
	}
}

// registerAll is the whole of linuxkit/binfmt: silent about what is there already.
func registerAll() error {
	for _, name := range available() {
		if err := install(name); err != nil && !errors.Is(err, syscall.EEXIST) {
			return err
		}
	}
	return nil
}

func main() {
	log.SetFlags(0)
	toInstall := flag.String("install", "", "architectures to install")
	toUninstall := flag.String("uninstall", "", "architectures to uninstall")
	register := flag.Bool("register", false, "register every emulator and print nothing")
	flag.Parse()

	if err := mountBinfmt(); err != nil {
		// The original reports and exits 0 here, and so must a stand-in for it.
		log.Printf("error: %v", err)
		return
	}
	if *register {
		if err := registerAll(); err != nil {
			log.Fatalf("error: %v", err)
		}
		return
	}
	if *toUninstall != "" {
		each("uninstalling", *toUninstall, uninstall)
	}
	if *toInstall == "all" {
		*toInstall = strings.Join(available(), ",")
	}
	if *toInstall != "" {
		each("installing", *toInstall, install)
	}
	if err := printStatus(); err != nil {
		log.Printf("error: %v", err)
	}
}
