"""Asks the root helper one thing, as whoever runs this:  python3 asker.py SOCKET HEX_OF_WHAT_TO_SEND [SECONDS]

Prints the answer as it came. With SECONDS it holds the connection open that long before it reads."""
import socket, sys, time

with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(60)
    connection.connect(sys.argv[1])
    try:
        connection.sendall(bytes.fromhex(sys.argv[2]))
        if len(sys.argv) > 3:
            time.sleep(float(sys.argv[3]))
        while chunk := connection.recv(4096):
            sys.stdout.buffer.write(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass    # it hung up: no answer
