// The Int32 that follows the length of a start-up packet: a protocol version, or a request that cannot be mistaken for one.

export const PROTOCOL_3_0 = 196_608;
export const PROTOCOL_3_2 = 196_610;
export const CANCEL_REQUEST_CODE = 80_877_102;
export const SSL_REQUEST_CODE = 80_877_103;
export const GSSENC_REQUEST_CODE = 80_877_104;
