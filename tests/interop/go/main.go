// Reads, checks and copies a log with the tree, tile and note code of golang.org/x/mod.
//
// usage: client URL VKEY FOLDER
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type log struct {
	url    string
	folder string
	read   map[string][]byte
}

// fetch gets an object and keeps a copy.
func (l *log) fetch(path string) ([]byte, error) {
	if data, known := l.read[path]; known {
		return data, nil
	}
	response, err := http.Get(l.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	l.read[path] = data
	file := filepath.Join(l.folder, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	return data, os.WriteFile(file, data, 0o644)
}

func (l *log) Height() int { return height }

// ReadTiles maps the tile paths of the checksum database to those of C2SP tlog-tiles.
func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := l.fetch(path)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

func (l *log) entries(size int64) ([][]byte, error) {
	var entries [][]byte
	for first := int64(0); first < size; first += 1 << height {
		width := min(size-first, 1<<height)
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := l.fetch(path)
		if err != nil {
			return nil, err
		}
		for range width {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("%s is too short", path)
			}
			length := int(binary.BigEndian.Uint16(data))
			entries = append(entries, data[2:2+length])
			data = data[2+length:]
		}
		if len(data) != 0 {
			return nil, fmt.Errorf("%s is too long", path)
		}
	}
	return entries, nil
}

func checkpoint(l *log, vkey string) (tlog.Tree, error) {
	data, err := l.fetch("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func run(l *log, vkey string) error {
	tree, err := checkpoint(l, vkey)
	if err != nil {
		return err
	}
	entries, err := l.entries(tree.N)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, l)
	for index, entry := range entries {
		proof, err := tlog.ProveRecord(tree.N, int64(index), hashes)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
	}
	for older := int64(1); older <= tree.N; older += 97 {
		root, err := tlog.TreeHash(older, hashes)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, older, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, older, root); err != nil {
			return fmt.Errorf("size %d: %w", older, err)
		}
	}
	fmt.Println(tree.N)
	return nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: client URL VKEY FOLDER")
		os.Exit(2)
	}
	if err := run(&log{url: os.Args[1], folder: os.Args[3], read: map[string][]byte{}}, os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
