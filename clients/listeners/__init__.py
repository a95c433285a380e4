"""Listeners of ours, which nobody can shut by holding connections: each one is opened here and nowhere else.

- Connections are bounded in number, also an address, and in time (`rules.connections`): what says nothing, or says
  it a byte at a time, in the TLS handshake, in a request's head or after an answer, is shut down after `wait_s`, and
  makes way for others before that when the listener is full. An answer that is not read ends after `serve_s`.
- Shutting down is done to the socket: TLS and HTTP see their peer leave, whatever they are doing.
"""
