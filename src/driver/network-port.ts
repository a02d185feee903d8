/** Where a kernel is joined to the network. */
export interface NetworkPort {
  /** File of the network namespace. */
  namespace: string;
  /** Of the kernel's end there, at most 15 characters; `peer`: the bridge's port. */
  interface: string;
  peer: string;
  /** Of the kernel's network card. */
  mac: string;
  /** IPv4 in dotted form. */
  address: string;
  netmask: string;
}
