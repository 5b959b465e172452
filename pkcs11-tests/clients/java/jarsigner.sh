# jarsigner: signed by keys of the token, verified without it.

mkdir program
echo 'public class Hello { public static void main(String[] a) { System.out.println("hello"); } }' >program/Hello.java
step "a program" javac "${quick[@]}" -d program program/Hello.java
sed -i s/hello/bye/ program/Hello.java
step "another program of that name" javac "${quick[@]}" -d changed program/Hello.java
step "a jar" jar "${quick[@]}" --create --file alice-rsa.jar -C program Hello.class
cp alice-rsa.jar alice-ec.jar

for alias in alice-rsa alice-ec; do
    step "jarsigner signs by $alias" jarsigner "${token[@]}" -storepass "$pin" "$alias.jar" "$alias"
    # -strict: any doubt about the chain fails; that there is no time stamp is none.
    step "jarsigner verifies, with no doubt" jarsigner "${file[@]}" -keystore trust.p12 -verify -strict -verbose -certs \
        "$alias.jar"
    cp output said
    step "the signer is named" grep "CN=$alias, O=Example" said
done
says "the signed program runs" hello java -cp alice-ec.jar Hello
refused "a CA that is not trusted is a doubt" jarsigner "${file[@]}" -keystore strangers.p12 -verify -strict alice-ec.jar
cp alice-ec.jar changed.jar
step "somebody changes the class in it" jar "${quick[@]}" --update --file changed.jar -C changed Hello.class
says "the changed class is noticed" "digest error for Hello.class" jarsigner "${quick[@]}" -verify changed.jar
says "an alias that is not there" "Certificate chain not found for: nobody" \
    jarsigner "${token[@]}" -storepass "$pin" alice-ec.jar nobody
