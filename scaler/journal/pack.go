package journal

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// tickDict is what ticks look like. As the compressor's history it makes a tick
// of a few KB a few hundred bytes. It is never changed: a better one gets a new
// number, and both are given to the decoder.
//
//go:embed tick.dict
var tickDict []byte

const tickDictID = 1

// maxTick bounds a tick as JSON, in bytes.
const maxTick = 16 << 20

// packer turns ticks into few bytes. It is safe for concurrent use.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (*packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(128<<10), zstd.WithEncoderDictRaw(tickDictID, tickDict))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxTick),
		zstd.WithDecoderDictRaw(tickDictID, tickDict))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &packer{enc: enc, dec: dec}, nil
}

func (p *packer) pack(t Tick) ([]byte, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode tick of pool %s: %w", t.Pool, err)
	}
	if len(b) > maxTick {
		return nil, fmt.Errorf("encode tick of pool %s: %d bytes are more than %d", t.Pool, len(b), maxTick)
	}
	return p.enc.EncodeAll(b, make([]byte, 0, len(b)/4)), nil
}

func (p *packer) unpack(b []byte) (t Tick, err error) {
	plain, err := p.dec.DecodeAll(b, nil)
	if err != nil {
		return t, fmt.Errorf("decompress tick: %w", err)
	}
	if err := json.Unmarshal(plain, &t); err != nil {
		return t, fmt.Errorf("decode tick: %w", err)
	}
	return t, nil
}

func (p *packer) close() { p.dec.Close() }
