//! Keys for the tests of this module, made for them with other programs.

use super::{Algorithm, KeyPair};

/// `.private` of dnssec-keygen 9.18.
pub(super) const BIND_RSA_PRIVATE: &str = "\
Private-key-format: v1.3
Algorithm: 8 (RSASHA256)
Modulus: 27h62IGRqgPe+3sjf2Kk0OFAy3fStbi6w3+RUJ84ZaJ7VgOe10Jid29sKhWhK4KK2I2/1mO9JhLbH2HO/tYQwb89BDcxDcG2fGjTGgLsJ5eL51fneQ8tGDxBcUVq7vviH72Z+uloEARjn7vDN0LfVyv5naK4kO5kWv/EK6QNWVoRIbbqdNipC/JaCutB+7i9rTZ6MomF/YrdrxLxZSii/IxBxQEJSE0eV/O95AUopPepM5dbzKDFX1QGt27uRWfqvxkCX3qMB3ZPMgVY3KAyTaGY6TTMvnQOlVjmKmnaFQaXhpWhTLZQsL7tw1jWLd73LS5nlik+xAEXWmsdO6LR/Q==
PublicExponent: AQAB
PrivateExponent: L3rUAQkuwwCHJOzdJN/aIdErQUypWd+LbEeazUM62qub32B06KtNv+VyCD4YT+CrxFQNSnTPIPUeKM/n/SWhBV0gAFM05HYhywyT4aEUCxIyh1F1kbF32y7aLXIEw5Pmr1k3dwMNG7j3FkNq0fw/awTzsd7B53+8a/WtHIkc4VuwqxN0x+dUb9l6zBZF+Ul4h5MPfa/m4ErEgnPVVFgoWlpNTfhlMoQEiOlHCRh4jUm9xv0aKelt1Ks/6IWItbqFbrQyhvNYz9Es+Ct/T4XMalVlBFhuNR/3tFAsLAuyTim2iGtFiWlCJc28V4qvKuPrmalJeWXIr5ev/SNsRZUeeQ==
Prime1: 7sPK3YuJD6A5bg+tkzpZWNPsANSuRwcBKaBrYx6bP2C7Ilyt2AKAfqoro5Hvy0JTj/9F5B5myP3jhCCJWYF+Kxd40RDhEdv7pmZge0siExFTBoxcOUBDuQe9nGcPyb7t+7323S8HIXiEl4SJXAlbqsMf1wTmBFL+/bfQgYfjRws=
Prime2: 65TDmQQicBzWe7vhosKvJqWG8F57ZNkUX0GWiBcXsr0Q3eSpLfdcfnk37N6VUSI/P4yyVkG9C6KtIN8tSVz/x/KmbMITIvvUYImMN+6/YSPoMquPrnieOX5HqENojgsKv9Nu+PWcwR1CgT6TMnVwondYXmklZoX4Ye0piDKMUBc=
Exponent1: YCIfBRKQbeUyGllfpr7AiJ5TEIaRYPG2Cx+W/UKueVcmIZC1QhrHx7gWd/ZjWTBsWrcKWe3Prq9isqkzBAG6XflGYM7t//XVncrsn9fBcXHxPtq2qypv2gj+1AE+/xjL0ydKRQYRVe2jXSo08ASojtmfcUB8qFMObfNblTu0S78=
Exponent2: WOb/GZOx21VGq9MvR1jo+FCnJ7bAIkK5qWj7AciVLOKkpthP8ATVZvUf4cft2XxvGfBirKKKUQXHCAyw7mqmLDKqE4j5583ZS8UcoU778hC248hSpKjoLRI2wI0Pu+r214VW76Tgzw/XtSaELhqbsvQO6TIM5y/PmEUD014gDWk=
Coefficient: X7bVey97JZZka07Nr5YfSSnwk4HO/P0xkz5/dHQzqLvl8CLIpsXAL8SohmPHoASS4PK+QDXl1TLDT2KIzE4xPTS+L8j+7IHxTmmHFE57jUXOo7ikWNC4gTIVwpL210klZY2DEbXGs5oOsDllc2Tr7sDEjThW7cikQpNgXO2OSNM=
";
/// `.key` of dnssec-keygen 9.18.
pub(super) const BIND_RSA_KEY: &str = "\
example.com. IN DNSKEY 257 3 8 AwEAAdu4etiBkaoD3vt7I39ipNDhQMt30rW4usN/kVCfOGWie1YDntdC YndvbCoVoSuCitiNv9ZjvSYS2x9hzv7WEMG/PQQ3MQ3Btnxo0xoC7CeX i+dX53kPLRg8QXFFau774h+9mfrpaBAEY5+7wzdC31cr+Z2iuJDuZFr/ xCukDVlaESG26nTYqQvyWgrrQfu4va02ejKJhf2K3a8S8WUoovyMQcUB CUhNHlfzveQFKKT3qTOXW8ygxV9UBrdu7kVn6r8ZAl96jAd2TzIFWNyg Mk2hmOk0zL50DpVY5ipp2hUGl4aVoUy2ULC+7cNY1i3e9y0uZ5YpPsQB F1prHTui0f0=
";
/// `.private` of dnssec-keygen 9.18.
pub(super) const BIND_P256_PRIVATE: &str = "\
Private-key-format: v1.3
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: MkpwjejIiGDcRQzqmLDZfX9lR1K6OLfsMn5YsAGtzAU=
Created: 20261122172421
Publish: 20261122172421
Activate: 20261122172421
";
/// `.key` of dnssec-keygen 9.18.
pub(super) const BIND_P256_KEY: &str = "\
; This is a key-signing key, keyid 43643, for example.com.
; Created: 20261122172421 (Sun Nov 22 17:24:21 2026)
; Publish: 20261122172421 (Sun Nov 22 17:24:21 2026)
; Activate: 20261122172421 (Sun Nov 22 17:24:21 2026)
example.com. IN DNSKEY 257 3 13 NPvW6hf2p7CL0/08GOJdx02scAQD9rUySAhdDNHg1CuiV6s4FWHaVT29 DjzdkdNfSfxZkcUO9G8QxHaN/e/8qw==
";
/// `.private` of dnssec-keygen 9.18.
pub(super) const BIND_P384_PRIVATE: &str = "\
Private-key-format: v1.3
Algorithm: 14 (ECDSAP384SHA384)
PrivateKey: 3p17kmgEtXEN58D94II/FdbGOnlAi5IU5KerHXoJz6WaJ7NcJ22zZU5SNQU9fHHG
";
/// `.key` of dnssec-keygen 9.18.
pub(super) const BIND_P384_KEY: &str = "\
example.com. IN DNSKEY 257 3 14 WViDSZOJi+8mOoeHt13ZChb5/V8h9XxNM6pxNEDE2KbfksgyGHG3ctx9 +rTQJ39JIEMo026B32uuyyD5YXTUeUrpwMS8ykJNE7drN3KsNuMdATRW 0/kqaxu0roGeMtzg
";
/// `.private` of dnssec-keygen 9.18.
pub(super) const BIND_ED25519_PRIVATE: &str = "\
Private-key-format: v1.3
Algorithm: 15 (ED25519)
PrivateKey: gP4D0LlaU5ovFPxaPV3jF9FTYZj8qreKhkQH3/qYqd0=
";
/// `.key` of dnssec-keygen 9.18.
pub(super) const BIND_ED25519_KEY: &str = "\
example.com. IN DNSKEY 257 3 15 pcY70ka/l/0zwRwY5HvkQo5EwSOFccxGDJJsPwQ22bg=
";
/// `.private` of ldns-keygen 1.8.
pub(super) const LDNS_P256_PRIVATE: &str = "\
Private-key-format: v1.2
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: 2or3kLQ8ubM/XmeTNbGuNwTMqDEn4XchJycKcX/NvV8=
";
/// `.key` of ldns-keygen 1.8.
pub(super) const LDNS_P256_KEY: &str = "\
example.com.	IN	DNSKEY	257 3 13 0tXP+88nz89j4wFz3amRGXSBeM2L828lOLROqa00EYo6/z8QdwCcVl7r9C8LFZLoX4W3mcz56E/zPwD3fUDBUA== ;{id = 50725 (ksk), size = 256b}
";
/// `.private` of ldns-keygen 1.8.
pub(super) const LDNS_P384_PRIVATE: &str = "\
Private-key-format: v1.2
Algorithm: 14 (ECDSAP384SHA384)
PrivateKey: QR3J+1S+nlvNkynNg7t13R9sc8ZTLKtpGym/s+wxtKtXDXPoaHMA0b6DBsky5sy4
";
/// `.key` of ldns-keygen 1.8.
pub(super) const LDNS_P384_KEY: &str = "\
example.com.	IN	DNSKEY	257 3 14 9yFv+JUiZKC8UjpbBkTpMSltrg8dEIdkDgCY8k5526fqnlwb04JXqagpY/XfeuA8lLlzlrBAouRLoSNWwBF0FCFFeUpFFsH2gELtlMOqleicpl9bpLInD8uIRu8M6jdu ;{id = 23553 (ksk), size = 384b}
";
/// `.private` of ldns-keygen 1.8.
pub(super) const LDNS_ED25519_PRIVATE: &str = "\
Private-key-format: v1.2
Algorithm: 15 (ED25519)
PrivateKey: wAXFKIpRzdTd6DTj5UKW1mZiJI4WsVHbPodENmmiZuE=
";
/// `.key` of ldns-keygen 1.8.
pub(super) const LDNS_ED25519_KEY: &str = "\
example.com.	IN	DNSKEY	257 3 15 MEWt0I63kH38uM9w0zvIrVRDCAd7gMCvuZoEqD9bHns= ;{id = 7682 (ksk), size = 256b}
";
/// PKCS #8 of keymgr 3.2.
pub(super) const RSA: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCwHVsjGZBaRh2n
mvAtu1Wryi8amWEs5HG0CXIx5iQ2cls+quNEDzc96FQHzsQbskMxlWSbUjbuAzp0
B/r9vIHHu2R66OkZynfIjYBr5jYrJyXHNTL9i5KS0XS66jw1/Cn0uA2zu1uiWN/R
qNUVdqN3rpz/gGv6MegQzF2RfImXtWLhJ/b7AZnnWmRTyg4JszBSCUied5aYR72B
gWiQyQin37IZKJT9dsSU8ENjyAqeOMJM+i+UzbPQGUZA76YSU210Q99EI67OydHW
ziHGmwllWMQx5NcxcbEvl2kvu5PVFqK2FNNFybBRTPUXfbCZoMWnC0z8AQhfIqQM
4/jF9TJ7AgMBAAECggEAZN/LreUcm7iBj9jdLTSaM5XROSkVUgNfZUHr2Mz7fPwv
a0uydO9KMvl5+CbkiQCoICRzxctnjxjmSEOx7dgldePN/+Ccc5tW1NbH8gWgjUMV
Dm9YT4W8ZL/4Xn+AEWPoHDW4E3SDXhAN0ycjNfIIW6r2XhqOvnYLeGO2THjKzsux
FSVQGdoMQr1mWqbSjXWo+WehFCcqKTtYFzchA0NU8BN4nnxAFV9Uw4dhF/gQ4rUB
+4UgxkD38Bjobzmex1l/40YhdvSH4DzcDR610IOyUhPlgVd2KDJaWM2GuQbhOH85
AOmOzSl9DPMFTUU9eUdCrSuppQRDxTAxFD24UpnN8QKBgQDY5/rHoBmGi0AGeMLD
pMoNITa8V3I6q2S3e8RhHksWFJ9+Z3Yvls0t795N/xRs7aIeBogwIqDt0LJw3j8M
0vwohCD58434b7jeo2o00u7svqUM/ry2eH13+wnvMyWmaHS9yXe/+62MzU5kYdRM
kYCkNtPNEZmuunhyuvvgj0a5xQKBgQDP20Mp0rqIU60UUxpLvhkXTa32p0l1gqbr
N4qkp1DCLDAWw9hZ2danCJw+zj/5cAGOoCwNasU4j/KNlhHLM8zK4utkPJbdt1KN
2H3OmHfd7LLReYewja+c7fSUsGXmqdRyF6D27ZPWb4xcJBVeo/4rJZDARp7+d4Ew
wf2dJ94/PwKBgQCkTVy2WDzdoJ94B4OoxSvUNEOM+URq0qdxIUyJMHQ6HpcOHfr1
Y2q6kEc5l632MS8rRVFl/OUgH4T7YC4sXalqW2PLUkVJWf+Ujf6GUv1u0Z6esFts
cOrBtqQ4z+qGGfvMQ071WwSEcoQeH8i70z+5pFpdrSZXp6JTbfYbjQxK7QKBgDtu
s2abBZEDdALSvDsaEOyT3oEfVibOg9HP4Mmxuaq7nch0mUEfw3uhP6PJr4swFpHk
hJQVimzg4/bOCSp0FkOQ3MOde3nL+EPsuhQ/jk6bZon02PKHoMYbWArH4Wsx9jfl
P7Y7OkFfRd/2xVF5TKyjoh8IUl/qZbs+TLkJ9EdbAoGBAJTn69plqjWnAyR/ksxu
pp91ZGTezs0uWC0kRgLOv6NyNoUcsU6HD1qlzk+p8VtlfpZfiu0B0+fy7ACcG3O7
/njgYAKr0nsx9CGMJONzb8M4SHJsF8+9UQDF4HrtnN+uFx+wgYB3TrFmXD0Okwmn
n/43bmKr97LM6akYY298lj5N
-----END PRIVATE KEY-----
";
/// PKCS #8 of keymgr 3.2, the scalar with a zero in front.
pub(super) const KNOT_P256: &str = "\
-----BEGIN PRIVATE KEY-----
MIGUAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHoweAIBAQQhAMgSKDgXDIDAn2AP
Zn6Kc5eAxsAoK1NuiT/rRETADWWdoAoGCCqGSM49AwEHoUQDQgAEVEcjdyj0am1C
VtmxCXacm29p4uvvtvDV3bd/t9e7Zq4qIKKJlQdpBhLn3WOV75JNYsDJI4JDvdFE
lWKWJIWGFA==
-----END PRIVATE KEY-----
";
/// PKCS #8 of keymgr 3.2.
pub(super) const KNOT_P384: &str = "\
-----BEGIN PRIVATE KEY-----
MIG/AgEAMBAGByqGSM49AgEGBSuBBAAiBIGnMIGkAgEBBDA7rBprGLy51z4csSFZ
L+3HldgqW+jAH46bbd/4WBPzYXYEyq1xrBgw4aeEDnYYogagBwYFK4EEACKhZANi
AAQ/26TgrSdh68h6HjnWtO7f0lalkJ/86/nZPi0o6wj6wFaQUmKzSmQiqQg7Xkub
CJIXAyzQOesgfDGEdNU80udEubcd/WH4GFTyCHCV64b279SR+dYz+Icg9AZ3Ht3L
kCo=
-----END PRIVATE KEY-----
";
/// PKCS #8 of keymgr 3.2.
pub(super) const KNOT_ED25519: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIFf0svhRvgS/NIAvSNZrCDSYhJn0wBtJOclacSXqiLj
-----END PRIVATE KEY-----
";
/// PKCS #8 of openssl genpkey 3.0.
pub(super) const OPENSSL_P256: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCrT0V6poS/qdV33Y
yHgWU8BvvuMr8jaAfiVqBbJ95H2hRANCAATi0q5AtQzHZhQTwI29qmsKAVQ+uFVF
1mob6toJbi3Vr0qJ+8jjQYaZgDt5p+NcFZLvUf9LcrsJ/fmOTssHywA1
-----END PRIVATE KEY-----
";
/// PKCS #8 of openssl genpkey 3.0.
pub(super) const OPENSSL_P384: &str = "\
-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDD4Ii/VGKpKZZMxhHET
QUFvi567JumSh0WmokzY3OdYoUdtCzPqXUj1TjRY52FARHehZANiAATlzvFoP6Ar
Q6MmrkqODKvZ2uR6xDcfAUmFaEWC+B00nvdxiWX38nN9HpHOj4X9Te/t8fhSAf3p
QiGT7ezJ3lgRDv3yEjsjVIZ17CUbDgfSQM0rwfkqDTdfsPFgBJj33p0=
-----END PRIVATE KEY-----
";
/// PKCS #8 of openssl genpkey 3.0.
pub(super) const OPENSSL_ED25519: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIahg2N9rf506nui3XypjWwQcZ9JiynzqrDsyTFiBDbu
-----END PRIVATE KEY-----
";

/// A pair of each algorithm.
pub(super) fn pairs() -> Vec<KeyPair> {
    let made = [Algorithm::EcdsaP256Sha256, Algorithm::EcdsaP384Sha384, Algorithm::Ed25519];
    let made = made.map(|algorithm| KeyPair::generate(algorithm).unwrap());
    let rsa = KeyPair::from_pem(RSA.as_bytes(), Algorithm::RsaSha256).unwrap();
    made.into_iter().chain([rsa]).collect()
}
