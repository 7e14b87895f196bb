package testservers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The opcodes of CQL's binary protocol, version 4, that are of use here.
const (
	cqlError        = 0x00
	cqlStartup      = 0x01
	cqlReady        = 0x02
	cqlAuthenticate = 0x03
	cqlOptions      = 0x05
	cqlSupported    = 0x06
	cqlQuery        = 0x07
	cqlResult       = 0x08
	cqlAuthResponse = 0x0F
	cqlAuthSuccess  = 0x10
)

// A cqlConn is a connection to a node, good for one request at a time.
type cqlConn struct{ net.Conn }

// dialCQL connects to a node, which has answered OPTIONS once it returns.
func dialCQL(ctx context.Context, addr string) (*cqlConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &cqlConn{conn}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if op, _, err := c.call(cqlOptions, nil); err != nil || op != cqlSupported {
		return nil, errors.Join(fmt.Errorf("ask %s for its options: it answers %#x: %w", addr, op, err), c.Close())
	}
	return c, nil
}

// login begins the session; a node that wants no password is not given one.
func (c *cqlConn) login(user, password string) error {
	startup := binary.BigEndian.AppendUint16(nil, 1)
	startup = appendCQL(appendCQL(startup, "CQL_VERSION"), "3.0.0")
	op, _, err := c.call(cqlStartup, startup)
	if err != nil || op == cqlReady {
		return err
	}
	if op != cqlAuthenticate {
		return fmt.Errorf("begin a session: the node answers %#x", op)
	}
	token := "\x00" + user + "\x00" + password
	op, _, err = c.call(cqlAuthResponse, append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...))
	if err == nil && op != cqlAuthSuccess {
		err = fmt.Errorf("log in as %s: the node answers %#x", user, op)
	}
	return err
}

// The consistency levels that are of use here; 1, 2 and 3 are ONE, TWO and THREE.
const cqlQuorum = 4

// query runs a statement with a consistency level and returns its rows, as bytes,
// and whether it changed the schema.
func (c *cqlConn) query(statement string, consistency int) (rows [][]string, changed bool, err error) {
	const skipMetadata, schemaChange = 0x02, 5
	body := binary.BigEndian.AppendUint32(nil, uint32(len(statement)))
	body = append(body, statement...)
	body = binary.BigEndian.AppendUint16(body, uint16(consistency))
	op, answer, err := c.call(cqlQuery, append(body, skipMetadata))
	if err != nil {
		return nil, false, err
	}
	if op != cqlResult || len(answer) < 4 {
		return nil, false, fmt.Errorf("run CQL: the node answers %#x", op)
	}
	rows, err = readRows(bytes.NewReader(answer))
	return rows, binary.BigEndian.Uint32(answer) == schemaChange, err
}

// readRows reads a result without metadata; one that is not of rows has none.
func readRows(r *bytes.Reader) ([][]string, error) {
	const kindRows, morePages, noMetadata = 2, 2, 4
	var kind, flags, columns, count int32
	if err := readInts(r, &kind); err != nil || kind != kindRows {
		return nil, err
	}
	if err := readInts(r, &flags, &columns, &count); err != nil {
		return nil, err
	}
	if flags&noMetadata == 0 || flags&morePages != 0 {
		return nil, fmt.Errorf("read rows: there are flags %#x", flags)
	}
	if columns < 1 || count < 0 || int(count) > r.Len()/4/int(columns) { // a value has four bytes at least
		return nil, fmt.Errorf("read rows: %d bytes are not %d rows of %d columns", r.Len(), count, columns)
	}
	var rows [][]string
	for range count {
		row := make([]string, columns)
		for i := range row {
			var size int32
			if err := readInts(r, &size); err != nil {
				return nil, err
			}
			value := make([]byte, max(0, min(size, int32(r.Len()))))
			_, _ = io.ReadFull(r, value) // as much as there is
			row[i] = string(value)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func readInts(r io.Reader, to ...*int32) error {
	for _, n := range to {
		if err := binary.Read(r, binary.BigEndian, n); err != nil {
			return fmt.Errorf("read a result: %w", err)
		}
	}
	return nil
}

// call sends a request and returns the answer's opcode and body. An answer that
// says what went wrong is an error.
func (c *cqlConn) call(op byte, body []byte) (byte, []byte, error) {
	const request, answer = 0x04, 0x84
	frame := binary.BigEndian.AppendUint32([]byte{request, 0, 0, 0, op}, uint32(len(body)))
	if _, err := c.Write(append(frame, body...)); err != nil {
		return 0, nil, fmt.Errorf("send a request: %w", err)
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	size := binary.BigEndian.Uint32(head[5:])
	if head[0] != answer || size > 64<<20 {
		return 0, nil, fmt.Errorf("read the answer: %x is not of protocol version 4", head)
	}
	body = make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	if head[4] == cqlError && len(body) >= 6 {
		return head[4], nil, fmt.Errorf("the node says: %s", body[6:])
	}
	return head[4], body, nil
}

// appendCQL appends a string with its length before it.
func appendCQL(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
